//! Path chains: the directories that decide where the ways to files and directories lead.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};

use super::ways::Way;
use crate::file::survey::MAX_LINKS;

/// The directories that some ways lead through, and the entries that matter in each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// The directories by their real paths, without links.
    pub(super) hops: BTreeMap<PathBuf, Hop>,
    /// Files at the ends that can be written through another path, because they have hard links or
    /// are mounted there. inotify reports such writes only to a watch on the file itself, not to
    /// one on its directory.
    pub(super) files: BTreeMap<PathBuf, Hop>,
}

/// The part that one directory, or a file at the end, has in the ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None` if it disappeared while the way was followed.
    pub(super) id: Option<Id>,
    /// `true` if a way leaves the path here through a link, or ends. Other directories only report
    /// that one below them was exchanged, and files only what their directories do not report.
    pub(super) needed: bool,
    pub(super) entries: Entries,
}

/// The entries of a directory that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) all: bool,
    pub(super) names: BTreeSet<OsString>,
}

/// The identity of a directory, independent of its path. Equal for all where the system has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Id {
    /// The file system.
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Chain {
    /// The directories on these ways: those above, that of every symbolic link at any point of a
    /// path, and that of the file. A way that ends early, because something does not exist, ends in
    /// the directory in which its next part would appear.
    pub(super) fn of(ways: &BTreeSet<Way>) -> Self {
        let mut chain = Self::default();
        for way in ways {
            chain.follow(way);
        }
        chain
    }

    fn follow(&mut self, way: &Way) {
        let mut links = 0;
        let mut real = PathBuf::new();
        let mut rest = way.path().to_owned();
        loop {
            let mut components = rest.components();
            let Some(component) = components.next() else {
                if let Way::Directory(_) = way {
                    let hop = self.hop(&real);
                    hop.needed = true;
                    hop.entries.all = true;
                }
                return;
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
            let hop = self.hop(&real);
            hop.entries.names.insert(name.to_owned());
            let entry = real.join(name);
            let is_file = matches!(way, Way::File(_)) && remaining == Path::new("");
            match fs::symlink_metadata(&entry) {
                Ok(metadata) if metadata.is_symlink() && links < MAX_LINKS => {
                    hop.needed = true;
                    links += 1;
                    let Ok(target) = fs::read_link(&entry) else {
                        return;
                    };
                    // The root of an absolute target replaces `real`.
                    rest = target.join(remaining);
                }
                Ok(metadata) if metadata.is_dir() && !is_file => {
                    real = entry;
                    rest = remaining;
                }
                Ok(metadata) if metadata.is_file() => {
                    hop.needed = true;
                    if !has_another_path(&metadata, hop.id) {
                        return;
                    }
                    let hop = Hop {
                        id: Some(Id::of(&metadata)),
                        needed: false,
                        entries: Entries::default(),
                    };
                    self.files.insert(entry, hop);
                    return;
                }
                _ => {
                    hop.needed = true;
                    return;
                }
            }
        }
    }

    fn hop(&mut self, dir: &Path) -> &mut Hop {
        self.hops.entry(dir.to_owned()).or_insert_with(|| Hop {
            id: fs::symlink_metadata(dir).ok().as_ref().map(Id::of),
            needed: false,
            entries: Entries::default(),
        })
    }
}

/// Returns `true` for a file that can be written through another path. Others are not watched,
/// because `notify` logs each one that is replaced.
#[cfg(unix)]
fn has_another_path(file: &Metadata, dir: Option<Id>) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.nlink() > 1 || dir.is_some_and(|dir| dir.device != file.dev())
}

#[cfg(not(unix))]
fn has_another_path(_: &Metadata, _: Option<Id>) -> bool {
    false
}

impl Entries {
    pub(super) fn include(&self, name: &OsStr) -> bool {
        self.all || self.names.contains(name)
    }
}

impl Id {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self::default()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn temp() -> (TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        (temp, root)
    }

    fn file(path: PathBuf) -> Chain {
        Chain::of(&BTreeSet::from([Way::File(path)]))
    }

    fn directory(path: PathBuf) -> Chain {
        Chain::of(&BTreeSet::from([Way::Directory(path)]))
    }

    /// The needed directories below `root`, and the entries that matter in them.
    fn needed<'a>(chain: &'a Chain, root: &Path) -> Vec<(&'a str, Vec<&'a str>)> {
        let hops = chain.hops.iter().filter(|(_, hop)| hop.needed);
        hops.map(|(dir, hop)| {
            let all = hop.entries.all.then_some("*");
            let names = hop.entries.names.iter().map(|name| name.to_str().unwrap());
            let dir = dir.strip_prefix(root).unwrap().to_str().unwrap();
            (dir, all.into_iter().chain(names).collect())
        })
        .collect()
    }

    #[test]
    fn every_link_counts_wherever_it_stands() {
        let (_temp, root) = temp();
        fs::create_dir_all(root.join("mount/..1")).unwrap();
        fs::write(root.join("mount/..1/app.toml"), "").unwrap();
        symlink("..1", root.join("mount/..data")).unwrap();
        symlink("..data/app.toml", root.join("mount/app.toml")).unwrap();
        symlink(root.join("mount/app.toml"), root.join("link.toml")).unwrap();

        let chain = file(root.join("mount/../link.toml"));
        let expected = [
            ("", vec!["link.toml", "mount"]),
            ("mount", vec!["..1", "..data", "app.toml"]),
            ("mount/..1", vec!["app.toml"]),
        ];
        assert_eq!(needed(&chain, &root), expected);
    }

    #[test]
    fn every_directory_above_tells_of_the_next_one() {
        let (_temp, root) = temp();
        fs::create_dir_all(root.join("srv/app/config")).unwrap();
        let path = root.join("srv/app/config/app.toml");
        let chain = file(path.clone());
        let config = root.join("srv/app/config");
        assert_eq!(needed(&chain, &config), [("", vec!["app.toml"])]);
        for below in path.ancestors() {
            if let Some((dir, name)) = below.parent().zip(below.file_name()) {
                assert!(chain.hops[dir].entries.include(name), "{}", below.display());
            }
        }
        assert_eq!(chain.hops.len(), config.ancestors().count());
    }

    #[test]
    fn a_directory_exchanged_for_another_is_another_way() {
        let (_temp, root) = temp();
        fs::create_dir_all(root.join("app")).unwrap();
        fs::create_dir_all(root.join("new")).unwrap();
        let before = file(root.join("app/app.toml"));
        assert_eq!(before, file(root.join("app/app.toml")));
        fs::rename(root.join("app"), root.join("old")).unwrap();
        fs::rename(root.join("new"), root.join("app")).unwrap();
        assert_ne!(before, file(root.join("app/app.toml")));
    }

    #[test]
    fn a_way_that_ends_early_is_watched_where_it_ends() {
        let (_temp, root) = temp();
        for chain in [file, directory].map(|way| way(root.join("missing/dir/fragments"))) {
            assert_eq!(needed(&chain, &root), [("", vec!["missing"])]);
        }
    }

    #[test]
    fn in_a_directory_that_is_listed_every_entry_matters() {
        let (_temp, root) = temp();
        fs::create_dir_all(root.join("etc/conf.1")).unwrap();
        symlink("conf.1", root.join("etc/conf.d")).unwrap();
        let chain = directory(root.join("etc/conf.d"));
        let expected = [("etc", vec!["conf.1", "conf.d"]), ("etc/conf.1", vec!["*"])];
        assert_eq!(needed(&chain, &root), expected);
    }

    #[test]
    fn links_that_lead_in_circles_come_to_an_end() {
        let (_temp, root) = temp();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        for chain in [file, directory].map(|way| way(root.join("a"))) {
            assert_eq!(needed(&chain, &root), [("", vec!["a", "b"])]);
        }
    }
}
