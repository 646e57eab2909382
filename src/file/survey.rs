//! The survey of all paths, taken before files are read and again afterwards, to detect changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Error, Kind};
use super::names::Name;
use super::read::Limits;
use super::rest::{Identity, Rest};
use super::watch::Way;

/// The number of symbolic links that Linux follows.
pub(super) const MAX_LINKS: usize = 40;

/// The state of everything that some names lead to.
pub(super) struct Survey(BTreeMap<PathBuf, Found>);

/// The state of one path.
pub(super) struct Found {
    /// The path as the app named it.
    pub(super) shown: PathBuf,
    pub(super) state: State,
    /// `true` if the path is that of a pattern, even if that is rejected.
    is_pattern: bool,
    /// The time for which the state must be stable before it is believed.
    needed: Duration,
    /// `true` if the file's times prove that it is.
    is_old: bool,
}

#[derive(Clone)]
pub(super) enum State {
    File(Identity),
    /// The files that match a pattern.
    Entries(Vec<PathBuf>),
    /// The reason why it cannot be read.
    Refused(Error),
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Entries(some), Self::Entries(others)) => some == others,
            (Self::Refused(one), Self::Refused(other)) => one.reason() == other.reason(),
            _ => false,
        }
    }
}

impl Survey {
    /// Looks up all names. `at` is called with each path before its lookup, because that can hang.
    pub(super) fn of(names: &[Name], limits: Limits, at: impl Fn(&Path)) -> Self {
        let mut found = BTreeMap::new();
        for name in names {
            at(&name.path);
            let Some(pattern) = &name.pattern else {
                let file = Found::file(&name.path, &name.shown, name.optional, limits);
                found.insert(name.path.clone(), file);
                continue;
            };
            let entries = name.entries(pattern);
            for path in entries.iter().flatten() {
                at(path);
                let file_name = path.file_name().unwrap_or_default();
                let shown = name.shown.with_file_name(file_name);
                found
                    .entry(path.clone())
                    .or_insert_with(|| Found::file(path, &shown, false, limits));
            }
            found.insert(name.path.clone(), Found::entries(name, entries, limits));
        }
        Self(found)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Found)> {
        self.0.iter()
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// The ways to watch, so that every change of this survey has an event.
    pub(super) fn ways(&self) -> BTreeSet<Way> {
        let way = |(path, found): (&PathBuf, &Found)| match found.is_pattern {
            true => Way::Directory(path.parent().unwrap_or(path).to_owned()),
            false => Way::File(path.clone()),
        };
        self.iter().map(way).collect()
    }

    /// An entry that is new or changed since `before`. (A file that no longer matches a pattern
    /// changes the entry of the pattern.)
    pub(super) fn difference(&self, before: &Self, limits: Limits) -> Option<Unrest> {
        let differs = |(path, found): &(&PathBuf, &Found)| {
            before
                .0
                .get(*path)
                .is_none_or(|then| then.state != found.state)
        };
        let (path, found) = self.iter().find(differs)?;
        Some(Unrest::of(path, found, limits))
    }

    /// Records all states. Returns an entry that is not stable yet, if any, and rather a new one
    /// than one that was seen before.
    pub(super) fn unrest(&self, rest: &Rest, limits: Limits) -> Option<Unrest> {
        let unrest = |(path, found): (&PathBuf, &Found)| {
            let rested = rest.note(path, &found.state);
            let wait = found.needed.checked_sub(rested)?.min(limits.quiet);
            let rests = found.is_old || wait.is_zero();
            (!rests).then(|| Unrest {
                wait,
                is_new: rested.is_zero(),
                ..Unrest::of(path, found, limits)
            })
        };
        // `max_by_key` takes every entry, so all of them are recorded.
        self.iter()
            .filter_map(unrest)
            .max_by_key(|unrest| (unrest.is_new, unrest.wait))
    }
}

/// An entry that is not stable yet.
pub(super) struct Unrest {
    pub(super) path: PathBuf,
    /// The path as the app named it.
    pub(super) shown: PathBuf,
    /// The wait until the next look: at most the quiet time, because an empty file can have
    /// contents by then.
    pub(super) wait: Duration,
    /// `true` if the state differs from that of the last look.
    pub(super) is_new: bool,
}

impl Unrest {
    /// An entry that has just been seen to change.
    pub(super) fn of(path: &Path, found: &Found, limits: Limits) -> Self {
        Self {
            path: path.to_owned(),
            shown: found.shown.clone(),
            wait: limits.quiet,
            is_new: true,
        }
    }
}

impl Found {
    fn file(path: &Path, shown: &Path, optional: bool, limits: Limits) -> Self {
        let checked = fs::metadata(path)
            .map_err(|error| refusal(path, error))
            .and_then(|metadata| check(&metadata, limits).map(|()| Identity::of(&metadata)));
        match checked {
            Ok(identity) => {
                let needed = limits.rest(identity.size == 0);
                Self {
                    shown: shown.to_owned(),
                    is_old: identity.is_old(needed),
                    needed,
                    is_pattern: false,
                    state: State::File(identity),
                }
            }
            Err(kind) => {
                let absent = optional && matches!(kind, Kind::NotFound { .. });
                let needed = if absent {
                    limits.rest(true)
                } else {
                    Duration::ZERO
                };
                Self {
                    is_old: !absent || has_old_directory(path, needed),
                    needed,
                    ..Self::refused(shown, kind)
                }
            }
        }
    }

    fn entries(name: &Name, entries: Result<Vec<PathBuf>, Kind>, limits: Limits) -> Self {
        match entries {
            Ok(entries) => {
                let needed = limits.rest(entries.is_empty());
                Self {
                    shown: name.shown.clone(),
                    is_old: has_old_directory(&name.path, needed),
                    needed,
                    is_pattern: true,
                    state: State::Entries(entries),
                }
            }
            Err(kind) => Self {
                is_pattern: true,
                ..Self::refused(&name.shown, kind)
            },
        }
    }

    fn refused(shown: &Path, kind: Kind) -> Self {
        Self {
            shown: shown.to_owned(),
            state: State::Refused(Error::new(shown, kind)),
            is_pattern: false,
            needed: Duration::ZERO,
            is_old: true,
        }
    }
}

/// Returns `true` if the file has been absent for that long: its directory would be newer.
fn has_old_directory(path: &Path, needed: Duration) -> bool {
    let directory = path
        .ancestors()
        .skip(1)
        .find_map(|dir| fs::metadata(dir).ok());
    directory.is_some_and(|directory| Identity::of(&directory).is_old(needed))
}

pub(super) fn check(metadata: &Metadata, limits: Limits) -> Result<(), Kind> {
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

pub(super) fn refusal(path: &Path, error: io::Error) -> Kind {
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

/// The path that does not exist, if symbolic links lead there from `path`.
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
        // Joining an empty path would add a separator.
        let rest = Some(rest).filter(|rest| *rest != Path::new(""));
        let target = end.parent().unwrap_or(end).join(target);
        place = rest.map_or_else(|| target.clone(), |rest| target.join(rest));
        led = true;
    }
    None
}
