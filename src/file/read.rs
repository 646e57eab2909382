//! Reading a file so that the bytes are those of one moment.
//!
//! A writer that is not done shows in one of two ways: the file was modified a moment ago, or it is
//! modified during the read. So a file is read only after it has rested for the quiet time, and the
//! read counts only if inode, size and times are the same before and after. File systems stamp
//! modifications with a clock of a few milliseconds; the rest before the read is what makes that
//! good enough, because a write during the read cannot have the old time. (On a file system that
//! knows whole seconds it can, if the size stays the same, too.)

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Place;
use super::error::Kind;
use super::rest::{Identity, Rest};
use crate::Stamp;

/// Rounding of clocks and timers: how much longer than needed to wait.
const SLACK: Duration = Duration::from_millis(1);

/// As many symbolic links as Linux follows.
pub(super) const MAX_LINKS: usize = 40;

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
pub(super) async fn stable(place: &Arc<Place>, limits: Limits) -> Result<Contents, Kind> {
    // Files are modified in real time, so patience is real time, even where tokio's clock is paused.
    let start = Instant::now();
    let mut last = false;
    loop {
        let same = Arc::clone(place);
        let attempt = move || attempt(&same.path, &same.rest, limits);
        match place.access.run(attempt).await?? {
            Attempt::Read(contents) => return Ok(contents),
            Attempt::Wait(_) if last => return Err(Kind::Restless),
            Attempt::Wait(wait) => tokio::time::sleep(wait.saturating_add(SLACK)).await,
        }
        last = start.elapsed() > limits.patience();
    }
}

/// Looks at the file without reading it: from here on its rest is counted, if it was modified.
pub(super) async fn look(place: &Arc<Place>) {
    let same = Arc::clone(place);
    let look = move || {
        if let Ok(metadata) = fs::metadata(&same.path) {
            same.rest.note(Identity::of(&metadata));
        }
    };
    // A file that cannot be looked at cannot be read either, and the read says why.
    _ = place.access.run(look).await;
}

fn attempt(path: &Path, rest: &Rest, limits: Limits) -> Result<Attempt, Kind> {
    let before = fs::metadata(path).map_err(|error| refusal(path, error))?;
    check(&before, limits)?;
    if let Some(wait) = unrest(&before, rest, limits) {
        return Ok(Attempt::Wait(wait));
    }
    let mut file = match open(path) {
        // A lease (of a file server on this machine) is being taken back.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Ok(Attempt::Wait(limits.quiet));
        }
        opened => opened.map_err(|error| refusal(path, error))?,
    };
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
        rest.note(Identity::of(&now));
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

/// Does not wait for the writer of what has become a pipe since it was looked at.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
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
fn unrest(metadata: &Metadata, rest: &Rest, limits: Limits) -> Option<Duration> {
    let needed = if metadata.len() == 0 {
        limits.ceiling()
    } else {
        limits.quiet
    };
    let identity = Identity::of(metadata);
    let rested = rest.note(identity.clone());
    if identity.is_old(needed) {
        return None;
    }
    let wait = needed.checked_sub(rested).filter(|wait| !wait.is_zero())?;
    Some(wait.min(limits.quiet))
}

fn refusal(path: &Path, error: io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => match dangling(path) {
            Some(target) => Kind::Dangling { target },
            None => Kind::NotFound {
                location: path.to_owned(),
            },
        },
        io::ErrorKind::PermissionDenied => Kind::Denied,
        _ => Kind::Io(error),
    }
}

/// The place that does not exist, if symbolic links lead there from `path`.
fn dangling(path: &Path) -> Option<PathBuf> {
    let mut place = path.to_owned();
    let mut led = false;
    for _ in 0..MAX_LINKS {
        let exists = |part: &&Path| fs::symlink_metadata(part).is_ok();
        let end = place.ancestors().find(exists)?;
        let Ok(target) = fs::read_link(end) else {
            return led.then_some(place);
        };
        let rest = place.strip_prefix(end).expect("it is an ancestor");
        // With nothing behind it, joining would add a separator.
        let rest = Some(rest).filter(|rest| *rest != Path::new(""));
        let target = end.parent().unwrap_or(end).join(target);
        place = rest.map_or_else(|| target.clone(), |rest| target.join(rest));
        led = true;
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Looked at, it is a file; opened a moment later, it may be a pipe that nobody writes to.
    #[test]
    fn opening_what_has_become_a_pipe_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let opened = open(&pipe).unwrap().metadata().unwrap();
        assert!(matches!(
            check(&opened, Limits::default()),
            Err(Kind::Special)
        ));
    }
}
