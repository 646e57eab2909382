//! A volume of Kubernetes (a ConfigMap, a Secret), as the kubelet writes it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The directory into which the volume is mounted.
pub(crate) struct Volume {
    dir: PathBuf,
    /// Makes the names of its directories different.
    written: u64,
}

impl Volume {
    pub(crate) fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        Self { dir, written: 0 }
    }

    /// Brings the volume up to date, step by step as `AtomicWriter.Write` of the kubelet does. It is
    /// called once a minute, and mostly finds nothing to do.
    pub(crate) fn sync(&mut self, files: &[(&str, &str)]) {
        let data = self.dir.join("..data");
        let old = fs::read_link(&data).ok().map(|name| self.dir.join(name));
        let removed = old.as_deref().map(|old| removed(old, files));
        if let (Some(old), Some(removed)) = (&old, &removed)
            && removed.is_empty()
            && files
                .iter()
                .all(|(name, contents)| is_written(&old.join(name), contents))
        {
            return;
        }

        self.written += 1;
        // Its time, and the number that makes it unique.
        let name = format!("..2026_01_02_15_04_05.{:010}", self.written);
        let new = self.dir.join(&name);
        DirBuilder::new().mode(0o700).create(&new).unwrap();
        chmod(&new, 0o755);
        for (name, contents) in files {
            let path = new.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, contents).unwrap();
            chmod(&path, 0o644);
        }
        let next = self.dir.join("..data_tmp");
        symlink(name, &next).unwrap();
        fs::rename(next, data).unwrap();
        for (name, _) in files {
            let top = name.split('/').next().unwrap();
            let visible = self.dir.join(top);
            if fs::read_link(&visible).is_err() {
                symlink(Path::new("..data").join(top), visible).unwrap();
            }
        }
        for name in removed.unwrap_or_default() {
            fs::remove_file(self.dir.join(name)).unwrap();
        }
        if let Some(old) = old {
            fs::remove_dir_all(old).unwrap();
        }
    }
}

/// What stands at the top of the volume and does not belong there any more.
fn removed(old: &Path, files: &[(&str, &str)]) -> BTreeSet<String> {
    let names = fs::read_dir(old).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_kept = |top: &str| {
        files
            .iter()
            .any(|(name, _)| name.split('/').next() == Some(top))
    };
    names.filter(|name| !is_kept(name)).collect()
}

fn is_written(path: &Path, contents: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|old| old == contents)
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
