//! What is where: taken before files are read, and again afterwards, to see whether anything moved.

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

/// As many symbolic links as Linux follows.
pub(super) const MAX_LINKS: usize = 40;

/// All that some names lead to.
pub(super) struct Survey(BTreeMap<PathBuf, Found>);

/// What one path leads to.
pub(super) struct Found {
    /// The path as the app named it.
    pub(super) shown: PathBuf,
    pub(super) state: State,
    /// Whether the path is that of a pattern, also where that is refused.
    is_pattern: bool,
    /// For how long it has to have been that, before it is believed.
    needed: Duration,
    /// Whether its times say that it has.
    is_old: bool,
}

#[derive(Clone)]
pub(super) enum State {
    File(Identity),
    /// What a pattern stands for.
    Entries(Vec<PathBuf>),
    /// It cannot be read, for this reason.
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
    /// Looks everything up. `at` is told what comes next, because any of it may hang.
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

    /// What has to be watched, so that no change of this goes unseen.
    pub(super) fn ways(&self) -> BTreeSet<Way> {
        let way = |(path, found): (&PathBuf, &Found)| match found.is_pattern {
            true => Way::Directory(path.parent().unwrap_or(path).to_owned()),
            false => Way::File(path.clone()),
        };
        self.iter().map(way).collect()
    }

    /// Something that was not there, or not the same, in the other one. (What has gone from a pattern
    /// makes a difference in the pattern.)
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

    /// Takes note of it. What has not rested enough, if anything; something new rather than something
    /// that was seen before.
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
        // It takes all of them, so all of them are noted.
        self.iter()
            .filter_map(unrest)
            .max_by_key(|unrest| (unrest.is_new, unrest.wait))
    }
}

/// Something that has changed, or did so a moment ago.
pub(super) struct Unrest {
    pub(super) path: PathBuf,
    /// The path as the app named it.
    pub(super) shown: PathBuf,
    /// When to look again: after the quiet time at the latest, because an empty file may have contents
    /// by then.
    pub(super) wait: Duration,
    /// Whether it is not what it was at the last look.
    pub(super) is_new: bool,
}

impl Unrest {
    /// Something that has just been seen to change.
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

/// Whether what is not there has been missing for that long: its directory would be newer.
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
