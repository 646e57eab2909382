use notify::event::{CreateKind, Flag};
use tokio_test::task::spawn;

use super::*;

struct Source(Arc<Notify>);

impl Source {
    /// A source that is interested in these entries of directories with these inodes; `*` means all
    /// entries.
    fn new(routes: &mut Routes, entries: &[(&str, u64, &str)]) -> Self {
        let source = Self(Arc::default());
        let mut hops = BTreeMap::<&Path, Hop>::new();
        for (dir, inode, name) in entries {
            let hop = hops.entry(Path::new(dir)).or_insert_with(|| Hop {
                id: id(*inode),
                needed: true,
                entries: Entries::default(),
            });
            hop.entries.all |= *name == "*";
            hop.entries.names.insert(name.into());
        }
        routes.set(
            &source.0,
            &hops.iter().map(|(dir, hop)| (*dir, hop)).collect(),
        );
        for (dir, hop) in hops {
            routes.note(dir, hop.id);
        }
        source
    }

    fn is_woken(&self) -> bool {
        spawn(self.0.notified()).poll().is_ready()
    }
}

fn id(inode: u64) -> Option<Id> {
    Some(Id { device: 1, inode })
}

fn created(path: &str) -> notify::Result<Event> {
    Ok(Event::new(EventKind::Create(CreateKind::Any)).add_path(path.into()))
}

#[test]
fn an_event_wakes_those_whom_it_concerns() {
    let mut routes = Routes::default();
    let a = Source::new(&mut routes, &[("/srv", 1, "app"), ("/srv/app", 2, "a")]);
    let b = Source::new(&mut routes, &[("/srv", 1, "app"), ("/srv/app", 2, "b")]);
    let conf = [("/srv", 1, "conf.d"), ("/srv/conf.d", 3, "*")];
    let all = Source::new(&mut routes, &conf);
    for (path, woken) in [
        ("/srv/app/a", [true, false, false]),
        ("/srv/app/b", [false, true, false]),
        ("/srv/app/c", [false; 3]),
        ("/srv/app", [true, true, false]),
        ("/srv/conf.d/c", [false, false, true]),
        ("/srv/conf.d", [false, false, true]),
        // Another spelling, so perhaps in a directory that is listed.
        ("/SRV/app/b", [false, true, true]),
        ("/srv", [true; 3]),
        ("/", [true; 3]),
    ] {
        routes.tell(created(path));
        assert_eq!([&a, &b, &all].map(Source::is_woken), woken, "{path}");
    }
}

#[test]
fn an_event_that_names_nothing_wakes_all() {
    let mut routes = Routes::default();
    let source = Source::new(&mut routes, &[("/srv", 1, "a")]);
    let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    for event in [
        Ok(overflow.clone().add_path("/".into())),
        Ok(overflow),
        Ok(Event::new(EventKind::Any)),
        Err(notify::Error::generic("lost")),
    ] {
        routes.tell(event);
        assert!(source.is_woken());
    }
    let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
    routes.tell(Ok(Event::new(read).add_path("/srv/a".into())));
    assert!(!source.is_woken());
}

#[cfg(unix)]
#[test]
fn a_directory_that_has_two_paths_is_one() {
    let mut routes = Routes::default();
    let here = Source::new(&mut routes, &[("/here", 7, "a")]);
    let there = Source::new(&mut routes, &[("/there", 7, "a"), ("/there", 7, "b")]);
    routes.tell(created("/here/a"));
    assert!(here.is_woken() && there.is_woken());
    routes.tell(created("/here/b"));
    assert!(!here.is_woken() && there.is_woken());
    routes.tell(created("/there"));
    assert!(here.is_woken() && there.is_woken());
}

#[test]
fn what_was_created_anew_is_doubtful_until_it_is_watched_again() {
    let mut routes = Routes::default();
    let _source = Source::new(&mut routes, &[("/srv", 1, "app"), ("/srv/app", 2, "a")]);
    let dir = Path::new("/srv/app");
    let id = Some(Id {
        device: 1,
        inode: 1,
    });
    assert!(!routes.note(dir, id).is_doubtful);
    routes.tell(created("/srv/app/a"));
    assert!(!routes.note(dir, id).is_doubtful);
    routes.tell(created("/srv"));
    assert!(routes.note(dir, id).is_doubtful);
    assert!(!routes.note(dir, id).is_doubtful);
}

#[test]
fn a_directory_without_a_source_is_forgotten_once() {
    let mut routes = Routes::default();
    let source = Source::new(&mut routes, &[("/srv", 1, "a")]);
    assert!(routes.take_unused().is_empty());
    routes.set(&source.0, &BTreeMap::new());
    let id = Some(Id {
        device: 1,
        inode: 1,
    });
    assert_eq!(routes.take_unused(), [(PathBuf::from("/srv"), id)]);
    assert!(routes.take_unused().is_empty());
    routes.tell(created("/srv/a"));
    assert!(!source.is_woken());
}
