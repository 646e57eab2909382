//! Reads files so that all bytes are of one moment.
//!
//! A writer that is not done shows in one of two ways: the file was modified a moment ago, or it is
//! modified during the read. Files are therefore read only after they have been left alone for the
//! quiet time. The read counts only if all of them, and all that their names lead to, have the same
//! inode, size and times before and after. So files that are replaced together, as by renaming
//! their directory, are never mixed.
//!
//! File systems stamp modifications with a clock that ticks every few milliseconds. The quiet time
//! makes that precise enough, because a write during the read cannot have the old time. (On a file
//! system with times in whole seconds it can, if the size stays the same, too.)

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Error, Kind};
use super::files::Contents;
use super::loaded::{Entry, Loaded, Sights};
use super::names::{self, Name};
use super::place::{Arming, Place};
use super::rest::Identity;
use super::survey::{self, Found, State, Unrest};

/// The extra wait that covers the rounding of clocks and timers.
const SLACK: Duration = Duration::from_millis(1);

/// The limits of a read.
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
    /// The longest wait for the end of a burst of events.
    pub(super) fn ceiling(&self) -> Duration {
        self.quiet.saturating_mul(10)
    }

    /// The time for which a file must be stable, longer for an empty one, which a writer can leave
    /// between two steps.
    pub(super) fn rest(&self, is_empty: bool) -> Duration {
        if is_empty { self.ceiling() } else { self.quiet }
    }

    /// The time for which a file may keep changing before it is rejected.
    fn patience(&self) -> Duration {
        self.ceiling().saturating_mul(2)
    }
}

/// The reason why nothing was read.
pub(super) struct Unread {
    /// The path with the error. `None` if an earlier call is stuck, which says nothing about the
    /// current files.
    path: Option<PathBuf>,
    pub(super) error: Error,
}

impl Unread {
    /// An error before any call into the file system.
    fn without_a_call(names: &[Name], kind: Kind) -> Self {
        let is_stuck = matches!(kind, Kind::Stuck { .. });
        let path = names.first().map(|name| name.path.clone());
        Self {
            path: path.filter(|_| !is_stuck),
            error: Error::new(&names::first(names), kind),
        }
    }

    pub(super) fn sights(&self) -> Option<Sights> {
        let path = self.path.clone()?;
        Some(BTreeMap::from([(path, Err(self.error.reason()))]))
    }
}

enum Attempt {
    Read(Loaded),
    Wait(Unrest),
}

/// Reads all that the names lead to, at one moment.
///
/// # Errors
///
/// If something keeps changing, an earlier call does not return, or no thread can be started. A
/// file that cannot be read is no error here but part of the result.
pub(super) async fn stable(
    place: &Arc<Place>,
    names: &Arc<[Name]>,
    limits: Limits,
    arming: Arming,
) -> Result<Loaded, Unread> {
    let result = at_rest(place, names, limits, arming).await;
    let may_pass = match &result {
        Ok(loaded) => loaded.may_pass(),
        Err(unread) => unread.error.may_pass(),
    };
    if may_pass {
        place.setback.begin();
    }
    result
}

async fn at_rest(
    place: &Arc<Place>,
    names: &Arc<[Name]>,
    limits: Limits,
    mut arming: Arming,
) -> Result<Loaded, Unread> {
    // Files are modified in real time, so patience is real time, even if tokio's clock is paused.
    // It begins after the first attempt, which may have been held up.
    let mut start = None;
    loop {
        let (shared, wanted) = (Arc::clone(place), Arc::clone(names));
        let attempt = move || attempt(&shared, &wanted, limits, arming);
        let attempt = place.access.run(attempt).await;
        let attempt = attempt.map_err(|kind| Unread::without_a_call(names, kind))?;
        let unrest = match attempt {
            Attempt::Read(loaded) => return Ok(loaded),
            Attempt::Wait(unrest) => unrest,
        };
        let start = start.get_or_insert_with(Instant::now);
        // An unchanged file becomes stable by waiting, so it needs no patience.
        if unrest.is_new && start.elapsed() > limits.patience() {
            return Err(Unread {
                error: Error::new(&unrest.shown, Kind::Restless),
                path: Some(unrest.path),
            });
        }
        tokio::time::sleep(unrest.wait.saturating_add(SLACK)).await;
        arming = Arming::AsNeeded;
    }
}

/// Looks at the files without reading them. Their stability is counted from here.
pub(super) async fn look(place: &Arc<Place>, names: &Arc<[Name]>, limits: Limits) {
    let (shared, wanted) = (Arc::clone(place), Arc::clone(names));
    let look = move || _ = shared.survey(&wanted, limits).unrest(&shared.rest, limits);
    // The read that follows returns the error.
    _ = place.access.run(look).await;
}

fn attempt(place: &Place, names: &[Name], limits: Limits, arming: Arming) -> Attempt {
    let before = place.survey(names, limits);
    // Watched before the read, so that a later change has an event.
    place.arm(before.ways(), arming);
    if let Some(unrest) = before.unrest(&place.rest, limits) {
        return Attempt::Wait(unrest);
    }
    let mut entries = BTreeMap::new();
    for (path, found) in before.iter() {
        place.access.at(path);
        let Some(entry) = entry(path, found, limits) else {
            return Attempt::Wait(Unrest::of(path, found, limits));
        };
        entries.insert(path.clone(), entry);
    }
    let after = place.survey(names, limits);
    if let Some(unrest) = after.difference(&before, limits) {
        // Noted, so that its stability is counted from here.
        _ = after.unrest(&place.rest, limits);
        return Attempt::Wait(unrest);
    }
    place.rest.keep(|path| after.contains(path));
    Attempt::Read(Loaded(entries))
}

/// Reads one path. `None` if it has changed since the survey.
fn entry(path: &Path, found: &Found, limits: Limits) -> Option<Entry> {
    match &found.state {
        State::Refused(error) => Some(Entry::Refused(error.clone())),
        State::Entries(entries) => Some(Entry::Entries(entries.clone())),
        State::File(identity) => match contents(path, identity, limits) {
            Ok(bytes) => {
                let name = Name::entry(found.shown.clone(), path);
                Some(Entry::File(Contents::new(name, identity.id(path), bytes?)))
            }
            Err(kind) => Some(Entry::Refused(Error::new(&found.shown, kind))),
        },
    }
}

fn contents(path: &Path, identity: &Identity, limits: Limits) -> Result<Option<Vec<u8>>, Kind> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) => match error.kind() {
            // The file is gone, or a lease (of a file server on this machine) is being taken back.
            io::ErrorKind::NotFound | io::ErrorKind::WouldBlock => return Ok(None),
            _ => return Err(survey::refusal(path, error)),
        },
    };
    if Identity::of(&file.metadata().map_err(Kind::Io)?) != *identity {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(identity.size).unwrap_or_default());
    file.by_ref()
        .take(limits.max_size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Kind::Io)?;
    // Some file systems do not know the sizes of their files.
    if bytes.len() as u64 > limits.max_size {
        return Err(Kind::TooLarge {
            max_size: limits.max_size,
        });
    }
    Ok(Some(bytes))
}

/// Opens without blocking: a file in the survey can be a pipe without a writer by now.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A file in the survey can be a pipe without a writer by the time it is opened.
    #[test]
    fn opening_what_has_become_a_pipe_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        fs::write(&pipe, "").unwrap();
        let identity = Identity::of(&fs::metadata(&pipe).unwrap());
        fs::remove_file(&pipe).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let contents = contents(&pipe, &identity, Limits::default());
        assert!(matches!(contents, Ok(None)));
    }
}
