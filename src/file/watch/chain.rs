//! The way to a file: which directories have a say in where a path leads.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::file::survey::MAX_LINKS;

/// What has to be watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::file) enum Way {
    /// The file at this absolute path.
    File(PathBuf),
    /// The directory at this absolute path, any entry of which matters.
    Directory(PathBuf),
}

/// Where a path leads, by way of which entries of which directories.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// The directories, each by its own path, without links.
    pub(super) dirs: BTreeSet<PathBuf>,
    /// The names that matter in them, and their own.
    pub(super) names: BTreeSet<OsString>,
    pub(super) any: bool,
}

impl Chain {
    /// The directory of every symbolic link on the way, wherever in the path it stands, and that of
    /// the file. If the way ends early, because something does not exist, the last directory that
    /// does, in which the next part of the way would appear.
    pub(super) fn of_all(ways: &BTreeSet<Way>) -> Self {
        let mut all = Self::default();
        for way in ways {
            let chain = match way {
                Way::File(path) => Self::of(path),
                Way::Directory(path) => {
                    all.any = true;
                    Self::of(&path.join("x"))
                }
            };
            all.dirs.extend(chain.dirs);
            all.names.extend(chain.names);
        }
        all
    }

    pub(super) fn of(path: &Path) -> Self {
        let mut chain = Self::default();
        let mut links = 0;
        let mut real = PathBuf::new();
        let mut rest = path.to_owned();
        loop {
            let mut components = rest.components();
            let Some(component) = components.next() else {
                return chain;
            };
            let remaining = components.as_path().to_owned();
            let name = match component {
                Component::Normal(name) => name,
                Component::ParentDir => {
                    real.pop();
                    rest = remaining;
                    continue;
                }
                Component::CurDir => {
                    rest = remaining;
                    continue;
                }
                Component::Prefix(_) | Component::RootDir => {
                    real.push(component);
                    rest = remaining;
                    continue;
                }
            };
            let entry = real.join(name);
            match fs::symlink_metadata(&entry) {
                Ok(metadata) if metadata.is_symlink() && links < MAX_LINKS => {
                    chain.add(&real, name.to_owned());
                    links += 1;
                    let Ok(target) = fs::read_link(&entry) else {
                        return chain;
                    };
                    // A target that begins at the root replaces `real` by its first component.
                    rest = target.join(remaining);
                }
                Ok(metadata) if metadata.is_dir() && remaining != Path::new("") => {
                    real = entry;
                    rest = remaining;
                }
                _ => {
                    chain.add(&real, name.to_owned());
                    return chain;
                }
            }
        }
    }

    fn add(&mut self, dir: &Path, name: OsString) {
        self.names.insert(name);
        // Under its own name a directory tells that it was moved or removed.
        self.names.extend(dir.file_name().map(OsString::from));
        self.dirs.insert(dir.to_owned());
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_counts_wherever_it_stands() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("mount/..1")).unwrap();
        fs::write(root.join("mount/..1/app.toml"), "").unwrap();
        symlink("..1", root.join("mount/..data")).unwrap();
        symlink("..data/app.toml", root.join("mount/app.toml")).unwrap();
        symlink(root.join("mount/app.toml"), root.join("link.toml")).unwrap();

        let chain = Chain::of(&root.join("mount/../link.toml"));
        let dirs = ["", "mount", "mount/..1"].map(|dir| root.join(dir).components().collect());
        assert_eq!(chain.dirs, BTreeSet::from(dirs));
        for name in ["link.toml", "app.toml", "..data", "..1", "mount"] {
            assert!(chain.names.contains(std::ffi::OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_way_that_ends_early_is_watched_where_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        let chain = Chain::of(&root.join("missing/dir/app.toml"));
        assert_eq!(chain.dirs, BTreeSet::from([root]));
        assert!(chain.names.contains(std::ffi::OsStr::new("missing")));
    }

    #[test]
    fn links_that_lead_in_circles_come_to_an_end() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(Chain::of(&root.join("a")).dirs, BTreeSet::from([root]));
    }
}
