//! Random edits of a collection whose values own a socket, run and are retired, under leases that are
//! held, checks, keys that cannot be built and probes that fail: what is retired when, and what is left
//! alone.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rekindle::{
    BoxError, Error, Handle, Keyed, Lease, Live, Manager, Outcome, Reading, Report, Source, Stamp,
};
use support::{Automatic, eventually, in_time};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

type Settings = BTreeMap<u8, u8>;

/// This setting cannot be built.
const BAD: u8 = 9;

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u8),
    Remove(u8),
    Hold(u8),
    LetGo,
    Check,
    /// The probe fails for the next reload.
    Sicken,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..4_u8;
    prop_oneof![
        6 => (key.clone(), 0..3_u8).prop_map(|(key, n)| Op::Set(key, n)),
        1 => key.clone().prop_map(|key| Op::Set(key, BAD)),
        2 => key.clone().prop_map(Op::Remove),
        2 => key.prop_map(Op::Hold),
        1 => Just(Op::LetGo),
        1 => Just(Op::Check),
        2 => Just(Op::Sicken),
    ]
}

/// What happened to which value. All know each other by number.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    settings: Settings,
    next: u64,
    held: BTreeSet<u64>,
    running: BTreeSet<u64>,
    /// Built and not retired.
    alive: BTreeSet<u64>,
    /// For each router that is not retired, the values of its collection.
    routers: BTreeMap<u64, BTreeSet<u64>>,
    wrong: Vec<String>,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    fn value(&self) -> Value {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.alive.insert(id);
        Value {
            id,
            world: self.clone(),
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            retired: false,
        }
    }

    fn router(&self, values: BTreeSet<u64>) -> Value {
        let router = self.value();
        self.state().routers.insert(router.id, values);
        router
    }
}

struct Value {
    id: u64,
    world: World,
    socket: TcpListener,
    retired: bool,
}

impl Value {
    fn is_reached(&self) -> bool {
        TcpStream::connect(self.socket.local_addr().unwrap()).is_ok()
    }
}

/// How many sockets this process has open.
#[cfg(target_os = "linux")]
fn sockets() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

impl Drop for Value {
    fn drop(&mut self) {
        if !self.retired {
            let message = format!("{} is dropped and not retired", self.id);
            self.world.state().wrong.push(message);
        }
    }
}

async fn retire(mut value: Value) {
    let (id, world) = (value.id, value.world.clone());
    value.retired = true;
    {
        let mut state = world.state();
        if state.held.contains(&id) {
            state.wrong.push(format!("{id} is held and retired"));
        }
        if state.routers.values().any(|values| values.contains(&id)) {
            state
                .wrong
                .push(format!("{id} is retired before its router"));
        }
        if state.running.contains(&id) {
            state.wrong.push(format!("{id} runs and is retired"));
        }
    }
    for _ in 0..3 {
        yield_now().await;
    }
    drop(value);
    let mut state = world.state();
    state.routers.remove(&id);
    if !state.alive.remove(&id) {
        state.wrong.push(format!("{id} is retired twice"));
    }
}

async fn task(value: Lease<Value>, stop: CancellationToken) {
    let world = value.world.clone();
    // When a rollback starts it again, the one that was told to stop may take a moment to end.
    while !world.state().running.insert(value.id) {
        yield_now().await;
    }
    stop.cancelled().await;
    world.state().running.remove(&value.id);
}

struct Test {
    world: World,
    all: Live<Keyed<u8, Value>>,
    handle: Handle,
    automatic: Automatic,
    sick: Arc<AtomicBool>,
    held: Vec<Lease<Value>>,
    /// The settings that are current, and those that failed probation last.
    current: Settings,
    held_back: Option<Settings>,
    /// How many there were before the first value.
    #[cfg(target_os = "linux")]
    sockets: usize,
}

impl Test {
    fn ids(&self) -> BTreeMap<u8, u64> {
        let all = self.all.load();
        all.iter().map(|(key, value)| (*key, value.id)).collect()
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Set(key, n) => _ = self.world.state().settings.insert(key, n),
            Op::Remove(key) => _ = self.world.state().settings.remove(&key),
            Op::Hold(key) => {
                if let Some(lease) = self.all.load().get(&key) {
                    self.world.state().held.insert(lease.id);
                    self.held.push(lease.clone());
                }
            }
            Op::LetGo => {
                self.world.state().held.clear();
                self.held.clear();
            }
            Op::Sicken => self.sick.store(true, Ordering::SeqCst),
            Op::Check => {}
        }
        let (before, wanted) = (self.ids(), self.world.settings());
        let check = matches!(op, Op::Check);
        let is_explicit = !matches!(op, Op::Set(..) | Op::Remove(_));
        let outcome = match check {
            true => outcome(in_time(self.handle.check()).await),
            false if is_explicit => outcome(in_time(self.handle.reload("test")).await),
            false => self.automatic.reload().await.outcome(),
        };
        let expected = self.expected(&wanted, check, is_explicit);
        assert_eq!(outcome, expected, "{op:?} to {wanted:?}");
        if !check && self.held_back.as_ref() != Some(&wanted) {
            self.held_back = None;
        }
        match outcome {
            Outcome::Applied => {
                self.current = wanted;
                self.held_back = None;
            }
            Outcome::RolledBack => self.held_back = Some(wanted),
            _ => {}
        }
        if outcome != Outcome::Valid && outcome != Outcome::Unchanged {
            self.sick.store(false, Ordering::SeqCst);
        }
        self.is_settled(&before, outcome).await;
    }

    fn expected(&self, wanted: &Settings, check: bool, is_explicit: bool) -> Outcome {
        let is_held_back = !is_explicit && self.held_back.as_ref() == Some(wanted);
        if *wanted == self.current {
            Outcome::Unchanged
        } else if wanted.values().any(|n| *n == BAD) || is_held_back {
            Outcome::Rejected
        } else if check {
            Outcome::Valid
        } else if self.sick.load(Ordering::SeqCst) {
            Outcome::RolledBack
        } else {
            Outcome::Applied
        }
    }

    async fn is_settled(&self, before: &BTreeMap<u8, u64>, outcome: Outcome) {
        let now = self.ids();
        assert!(now.keys().eq(self.current.keys()));
        if outcome != Outcome::Applied {
            assert_eq!(now, *before, "{outcome:?} changed something");
        }
        let current: BTreeSet<u64> = now.values().copied().collect();
        eventually("its values run, and no others", || {
            self.world.state().running == current
        })
        .await;
        eventually("all others are retired", || {
            let state = self.world.state();
            let values: BTreeSet<_> = current.union(&state.held).copied().collect();
            let routers = state.routers.keys().copied();
            state.routers.len() == 1 && state.alive == values.into_iter().chain(routers).collect()
        })
        .await;
        assert!(self.all.load().iter().all(|(_, value)| value.is_reached()));
        #[cfg(target_os = "linux")]
        assert_eq!(sockets() - self.sockets, self.world.state().alive.len());
        assert_eq!(self.world.state().wrong, [""; 0]);
    }
}

fn outcome(result: Result<Arc<Report>, Error>) -> Outcome {
    match result {
        Ok(report) => report.outcome(),
        Err(error) => error.report().expect("it was made").outcome(),
    }
}

async fn holds(ops: Vec<Op>) {
    #[cfg(target_os = "linux")]
    let sockets = sockets();
    let world = World::default();
    let sick = Arc::new(AtomicBool::new(false));
    let ill = Arc::clone(&sick);
    let probe = async move || match ill.load(Ordering::SeqCst) {
        true => Err::<(), BoxError>("sick".into()),
        false => Ok(()),
    };
    let mut reload = Manager::new().probation(Duration::from_millis(1), probe);
    let source = Settled(world.clone());
    let settings = reload.source("settings", source).await.unwrap();
    let makes = world.clone();
    let build = async move |_, n| match n {
        BAD => Err("bad luck".into()),
        _ => Ok(makes.value()),
    };
    let same = |settings: Lease<Settings>| (*settings).clone();
    let all = reload.each("all", &settings, same, build);
    let all = all.runs(task).retire(retire).await.unwrap();
    let routes = world.clone();
    // It keeps nothing of what it is built from.
    let router = async move |all: Lease<Keyed<u8, Value>>| {
        Ok(routes.router(all.iter().map(|(_, value)| value.id).collect()))
    };
    reload
        .derive("router", &all, router)
        .retire(retire)
        .await
        .unwrap();
    let mut test = Test {
        world: world.clone(),
        all,
        handle: reload.handle(),
        automatic: Automatic::new(&mut reload),
        sick,
        held: Vec::new(),
        current: Settings::new(),
        held_back: None,
        #[cfg(target_os = "linux")]
        sockets,
    };
    let run = reload.run(async move |_| {
        for op in ops {
            test.step(op).await;
        }
        test.world.state().held.clear();
    });
    in_time(run).await.unwrap();
    let state = world.state();
    assert!(state.alive.is_empty() && state.running.is_empty());
    assert_eq!(state.wrong, [""; 0]);
}

/// Reads the settings of the world; they have a stamp.
struct Settled(World);

impl Source for Settled {
    type Value = Settings;

    async fn read(&self, _: Option<Stamp>) -> Result<Reading<Settings>, BoxError> {
        let settings = self.0.settings();
        let stamp = Stamp::of(format!("{settings:?}").as_bytes());
        Ok(Reading::Stamped(settings, stamp))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn random_edits_retire_each_value_once_in_order_and_leave_the_rest_alone(ops in vec(op(), 1..30)) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
        runtime.unwrap().block_on(holds(ops));
    }
}
