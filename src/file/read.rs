//! Reading a file so that the bytes are those of one moment.
//!
//! A writer that is not done shows in one of two ways: the file was modified a moment ago, or it is
//! modified during the read. So a file is read only after it has rested for the quiet time, and the
//! read counts only if inode, size and modification time are the same before and after. File
//! systems stamp modifications with a clock of a few milliseconds; the rest before the read is what
//! makes that good enough, because a write during the read cannot have the old time.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::blocking;
use super::error::Kind;
use crate::Stamp;

/// Rounding of clocks and timers: how much longer than needed to wait.
const SLACK: Duration = Duration::from_millis(1);

/// What is read, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_size: u64,
    pub(super) quiet: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_size: 8 * 1024 * 1024,
            quiet: Duration::from_millis(50),
        }
    }
}

impl Limits {
    /// How long a burst of events is waited for, and how long an empty file has to rest.
    pub(super) fn ceiling(&self) -> Duration {
        self.quiet.saturating_mul(10)
    }

    /// How long a file may go on changing before it is refused.
    fn patience(&self) -> Duration {
        self.ceiling().saturating_mul(2)
    }
}

pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    pub(super) stamp: Stamp,
}

enum Attempt {
    Read(Contents),
    /// It changed, or did so a moment ago: try again after that time.
    Wait(Duration),
}

/// The contents of the file, all of one moment.
pub(super) async fn stable(path: &Arc<Path>, limits: Limits) -> Result<Contents, Kind> {
    // Modification times are real time, so patience is too, even where tokio's clock is paused.
    let start = Instant::now();
    let mut last = false;
    loop {
        let path = Arc::clone(path);
        match blocking(move || attempt(&path, limits)).await? {
            Attempt::Read(contents) => return Ok(contents),
            Attempt::Wait(_) if last => return Err(Kind::Restless),
            Attempt::Wait(wait) => tokio::time::sleep(wait.saturating_add(SLACK)).await,
        }
        last = start.elapsed() > limits.patience();
    }
}

fn attempt(path: &Path, limits: Limits) -> Result<Attempt, Kind> {
    // Looked at before it is opened: opening a pipe that nobody writes to blocks for ever.
    let before = fs::metadata(path).map_err(|error| refusal(path, error))?;
    check(&before, limits)?;
    if let Some(wait) = unrest(&before, limits) {
        return Ok(Attempt::Wait(wait));
    }
    let mut file = fs::File::open(path).map_err(|error| refusal(path, error))?;
    let opened = file.metadata().map_err(Kind::Io)?;
    check(&opened, limits)?;

    let mut bytes = Vec::with_capacity(usize::try_from(opened.len()).unwrap_or_default());
    file.by_ref()
        .take(limits.max_size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Kind::Io)?;
    let after = file.metadata().map_err(Kind::Io)?;
    // The path may lead to another file by now.
    let now = fs::metadata(path).map_err(|error| refusal(path, error))?;

    let same = [&opened, &after, &now]
        .into_iter()
        .all(|other| Identity::of(other) == Identity::of(&before));
    if !same {
        return Ok(Attempt::Wait(limits.quiet));
    }
    // Some file systems do not know the sizes of their files.
    if bytes.len() as u64 > limits.max_size {
        return Err(Kind::TooLarge {
            max_size: limits.max_size,
        });
    }
    let stamp = Stamp::of(&bytes);
    Ok(Attempt::Read(Contents { bytes, stamp }))
}

fn check(metadata: &Metadata, limits: Limits) -> Result<(), Kind> {
    if metadata.is_dir() {
        return Err(Kind::Directory);
    }
    if !metadata.is_file() {
        return Err(Kind::Special);
    }
    if metadata.len() > limits.max_size {
        return Err(Kind::TooLarge {
            max_size: limits.max_size,
        });
    }
    Ok(())
}

/// When to look again, if the file has not rested enough. After the quiet time at the latest: an
/// empty file may have contents by then.
fn unrest(metadata: &Metadata, limits: Limits) -> Option<Duration> {
    let needed = if metadata.len() == 0 {
        limits.ceiling()
    } else {
        limits.quiet
    };
    // A time in the future, or none, says nothing, and waiting for it could take for ever.
    let age = SystemTime::now()
        .duration_since(metadata.modified().ok()?)
        .ok()?;
    let rest = needed.checked_sub(age).filter(|rest| !rest.is_zero())?;
    Some(rest.min(limits.quiet))
}

fn refusal(path: &Path, error: io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => Kind::Dangling { target },
            Err(_) => Kind::NotFound {
                location: path.to_owned(),
            },
        },
        io::ErrorKind::PermissionDenied => Kind::Denied,
        _ => Kind::Io(error),
    }
}

/// By what a file is known to be the same, unmodified one.
#[derive(PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    inode: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}
