//! The ways in which files are saved.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How often the file is polled of which the kernel is not asked.
pub(crate) const POLL: Duration = Duration::from_millis(10);

type Save = dyn FnMut(&str) -> io::Result<Instant>;

/// A file, and a way to save it.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    /// Where the app finds the file.
    pub(crate) path: PathBuf,
    /// Other files that are watched at the same time.
    pub(crate) others: Vec<PathBuf>,
    /// How often the file is polled, if the kernel is not asked for events.
    pub(crate) poll: Option<Duration>,
    /// Writes these contents, and tells when that was done, but for the last call into the system.
    /// After that the thread may have to wait for a core, and a clock that starts late flatters.
    pub(crate) save: Box<Save>,
    /// Removed at the end.
    _dir: TempDir,
}

impl Layout {
    fn new(name: &'static str) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.conf");
        fs::write(&path, "start")?;
        Ok(Self {
            name,
            save: Box::new(in_place(path.clone())),
            path,
            others: Vec::new(),
            poll: None,
            _dir: dir,
        })
    }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> io::Result<Vec<Layout>> {
    Ok(Vec::from([
        Layout::new("write in place")?,
        renamed()?,
        #[cfg(unix)]
        kubernetes()?,
        one_of_many()?,
        polled()?,
    ]))
}

fn in_place(path: PathBuf) -> impl FnMut(&str) -> io::Result<Instant> {
    move |contents| {
        let mut file = File::create(&path)?;
        let done = Instant::now();
        file.write_all(contents.as_bytes())?;
        Ok(done)
    }
}

fn renamed() -> io::Result<Layout> {
    let layout = Layout::new("write and rename")?;
    let path = layout.path.clone();
    let save = move |contents: &str| {
        let new = path.with_extension("new");
        fs::write(&new, contents)?;
        let done = Instant::now();
        fs::rename(new, &path)?;
        Ok(done)
    };
    Ok(Layout {
        save: Box::new(save),
        ..layout
    })
}

/// A mounted `ConfigMap`, updated as the kubelet does it.
#[cfg(unix)]
fn kubernetes() -> io::Result<Layout> {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    let layout = Layout::new("Kubernetes `..data` swap")?;
    let mount = layout.path.with_file_name("mount");
    fs::create_dir(&mount)?;
    let publish = |mount: &Path, version: &str, contents: &str| {
        fs::create_dir(mount.join(version))?;
        fs::write(mount.join(version).join("app.conf"), contents)?;
        symlink(version, mount.join("..data_tmp"))?;
        let done = Instant::now();
        fs::rename(mount.join("..data_tmp"), mount.join("..data"))?;
        io::Result::Ok(done)
    };
    publish(&mount, "..0", "start")?;
    let path = mount.join("app.conf");
    symlink("..data/app.conf", &path)?;
    let mut version = 0;
    let save = move |contents: &str| {
        let old = mount.join(format!("..{version}"));
        version += 1;
        let done = publish(&mount, &format!("..{version}"), contents)?;
        fs::remove_dir_all(old)?;
        Ok(done)
    };
    Ok(Layout {
        path,
        save: Box::new(save),
        ..layout
    })
}

fn one_of_many() -> io::Result<Layout> {
    let layout = Layout::new("one of 200 watched files")?;
    let others: Vec<PathBuf> = (1..200)
        .map(|number| layout.path.with_file_name(format!("{number}.conf")))
        .collect();
    for other in &others {
        fs::write(other, "rests")?;
    }
    Ok(Layout { others, ..layout })
}

/// Of which the kernel is not asked.
fn polled() -> io::Result<Layout> {
    Ok(Layout {
        poll: Some(POLL),
        ..Layout::new("polling only, every 10 ms")?
    })
}
