//! One measurement: reading threads, perhaps a writer, and the time that a read took.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::contenders::Contender;

/// How often the value is replaced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// Never.
    Still,
    /// Every millisecond.
    Relaxed,
    /// As fast as it goes.
    Restless,
}

impl Pace {
    /// Between two writes of a relaxed writer.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(1);
}

/// What the reads of one round took.
#[derive(Clone, Copy)]
pub(crate) struct Timed {
    /// Nanoseconds of CPU time per read.
    pub(crate) read: f64,
    /// How much of the wall time the thread was running: less than 1 where it waited for a lock or,
    /// because of other threads and processes, for a core.
    pub(crate) share: f64,
}

/// What one round found.
pub(crate) struct Round {
    /// The mean of the threads.
    pub(crate) timed: Timed,
    /// Writes per second.
    pub(crate) writes: f64,
}

/// Lets `threads` threads read for the length of one round, while a writer writes.
pub(crate) fn measure(
    contender: &dyn Contender,
    threads: usize,
    pace: Pace,
    length: Duration,
) -> Round {
    let stopwatch = Stopwatch {
        start: Barrier::new(threads),
        length,
    };
    let stop = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    let writes = Writes {
        pace,
        stop: &stop,
        done: &done,
    };
    thread::scope(|scope| {
        let writer = (pace != Pace::Still).then(|| {
            let writer = scope.spawn(|| contender.write(writes));
            // The readers begin when it is at work.
            while done.load(Ordering::Relaxed) == 0 && !writer.is_finished() {
                thread::yield_now();
            }
            (writer, Instant::now(), done.load(Ordering::Relaxed))
        });
        let readers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| contender.read(&stopwatch)))
            .collect();
        let timed: Vec<Timed> = readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader does not panic"))
            .collect();
        let writes = writer.map_or(0.0, |(writer, since, before)| {
            let writes = (done.load(Ordering::Relaxed) - before) as f64;
            let rate = writes / since.elapsed().as_secs_f64();
            stop.store(true, Ordering::Relaxed);
            writer.join().expect("a writer does not panic");
            rate
        });
        let mean = |of: fn(&Timed) -> f64| timed.iter().map(of).sum::<f64>() / threads as f64;
        Round {
            timed: Timed {
                read: mean(|timed| timed.read),
                share: mean(|timed| timed.share),
            },
            writes,
        }
    })
}

/// Times the reads of one thread.
pub(crate) struct Stopwatch {
    /// The threads of a round begin together.
    start: Barrier,
    length: Duration,
}

impl Stopwatch {
    /// Reads for the length of the round.
    pub(crate) fn time(&self, mut read: impl FnMut() -> u64) -> Timed {
        /// Reads between two looks at the clock, which costs as much as some of them.
        const BATCH: u32 = 2_000;
        let mut batch = || {
            for _ in 0..BATCH {
                black_box(read());
            }
        };
        // What only the first read of a thread costs is not of interest.
        batch();
        self.start.wait();
        let (start, busy) = (Instant::now(), ThreadTime::now());
        let mut reads = 0_u64;
        while start.elapsed() < self.length {
            batch();
            reads += u64::from(BATCH);
        }
        let (wall, busy) = (start.elapsed().as_secs_f64(), busy.elapsed().as_secs_f64());
        Timed {
            read: 1e9 * busy / reads as f64,
            share: busy / wall,
        }
    }
}

/// The writer's side: when to write, and when to end.
pub(crate) struct Writes<'a> {
    pub(crate) pace: Pace,
    stop: &'a AtomicBool,
    done: &'a AtomicU64,
}

impl Writes<'_> {
    /// Calls `write` with ascending numbers, at this pace, until the end.
    pub(crate) fn each(self, mut write: impl FnMut(u64)) {
        let mut number = 0;
        while self.go_on() {
            if self.pace == Pace::Relaxed {
                thread::sleep(Pace::INTERVAL);
            }
            number += 1;
            write(number);
        }
    }

    /// Tells whether there is to be another write, and counts it.
    pub(crate) fn go_on(&self) -> bool {
        self.done.fetch_add(1, Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }
}
