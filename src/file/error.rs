//! Why a file was refused.

use std::error::Error as StdError;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::io;
use std::mem::{self, Discriminant};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::Problem;
use crate::error::Chain;
use crate::escape::Escaping;

/// Why a file could not be read, or was refused.
///
/// `Display` names the file, line and column, the key, and what was expected:
///
/// ```text
/// config.json:3:15: printer.message: invalid type, expected a string
/// ```
///
/// **No value is ever in it**, neither in `Display` nor in `Debug` nor in the causes, unless the app
/// asked for that with [`File::show_values`](super::File::show_values). The messages of serde and of
/// the parsers quote values and whole lines, so only what is known to be the program's own text is
/// kept. Of a message of an app's own `Deserialize` (`Error::custom`) nothing is: it usually quotes the
/// value. But one that is, word for word, a literal of std or of a well-known crate is shown, such as
/// `invalid socket address syntax`. For your own types, put what is wanted into the *expected* part of
/// `invalid_value`, which is kept up to its first comma. Keys are shown, unless they have characters or
/// a length that keys do not have; then they are shown as `?`.
///
/// From the error of a reload it is had with [`StepError::inner`](crate::StepError::inner):
///
/// ```
/// use rekindle::{StepError, file};
///
/// fn line(error: &StepError) -> Option<usize> {
///     error.inner()?.downcast_ref::<file::Error>()?.line()
/// }
/// ```
///
/// What it tells of a file of JSON:
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Source, file};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     port: u16,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.json");
/// std::fs::write(&path, "{\n  \"port\": \"hunter2\"\n}")?;
/// let error = file::json::<Config>(&path).read(None).await.err().unwrap();
/// let error = error.downcast_ref::<file::Error>().unwrap();
/// assert_eq!(error.path(), path);
/// assert_eq!((error.line(), error.column()), (Some(2), Some(11)));
/// assert_eq!(error.key(), Some("port"));
/// assert!(error.to_string().contains("expected u16"));
/// assert!(!error.to_string().contains("hunter2"));
/// # let _ = |config: Config| config.port;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "json"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    path: PathBuf,
    kind: Kind,
}

pub(super) enum Kind {
    NotFound { location: PathBuf },
    Dangling { target: PathBuf },
    Denied,
    Directory,
    Special,
    TooLarge { max_size: u64 },
    TooMany { max: usize },
    Restless,
    Stuck { at: PathBuf },
    Thread(io::Error),
    Unread,
    Circular { included: PathBuf },
    Endless,
    Io(io::Error),
    Contents(Problem),
}

impl Error {
    pub(super) fn new(path: &Path, kind: Kind) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            kind,
        }))
    }

    /// The file, as the app or the file that includes it named it. Where several files are
    /// concerned, the first.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The line in which the contents are wrong, from 1.
    pub fn line(&self) -> Option<usize> {
        self.problem()?.position.map(|position| position.line)
    }

    /// The column in which the contents are wrong, from 1, in characters (not bytes).
    pub fn column(&self) -> Option<usize> {
        self.problem()?.position.map(|position| position.column)
    }

    /// The key whose value was refused, from the root of the file: `printer.message`, `hosts[2]`.
    /// `None` for errors of syntax and for those that concern the whole file.
    pub fn key(&self) -> Option<&str> {
        self.problem()?.key.as_deref()
    }

    /// What kind of error it is.
    pub(super) fn reason(&self) -> Discriminant<Kind> {
        mem::discriminant(&self.0.kind)
    }

    /// Returns `true` if it may be over without anything having been done to the file.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.0.kind, Kind::Thread(_) | Kind::Io(_))
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self.0.kind, Kind::NotFound { .. })
    }

    fn problem(&self) -> Option<&Problem> {
        match &self.0.kind {
            Kind::Contents(problem) => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path may have anything in it.
        let f = &mut Escaping(f);
        write!(f, "{}", self.path().display())?;
        match &self.0.kind {
            Kind::NotFound { location } => {
                f.write_str(": not found")?;
                if location != self.path() {
                    write!(f, " ({})", location.display())?;
                }
                f.write_str("; create it, or name another file")?;
                f.write_str(pattern_hint(self.path()))
            }
            Kind::Dangling { target } => write!(
                f,
                ": leads by symbolic link to {}, which does not exist",
                target.display()
            ),
            Kind::Denied => f.write_str(
                ": permission denied; the user of this process must be allowed to read the file \
                 and to search the directories above it",
            ),
            Kind::Directory => f.write_str(": a directory; name the file inside it"),
            Kind::Special => {
                f.write_str(": not a regular file (a pipe, socket or device cannot be reloaded)")
            }
            Kind::TooLarge { max_size } => write!(
                f,
                ": larger than {max_size} bytes; allow more with `max_size` if that is intended"
            ),
            Kind::Restless => f.write_str(
                ": still being written; reload when it is complete, and better write a new file \
                 and rename it over this one",
            ),
            Kind::Stuck { at } => write!(
                f,
                ": an earlier read has not come back from {}; see whether its file system responds",
                at.display()
            ),
            Kind::Thread(_) => f.write_str(": cannot start a thread"),
            Kind::TooMany { max } => write!(f, ": more than {max} files match; narrow the pattern"),
            Kind::Unread => f.write_str(
                ": not read yet; return this error, and the closure is called again when it is",
            ),
            Kind::Circular { included } if included == self.path() => {
                f.write_str(": includes itself")
            }
            Kind::Circular { included } => {
                write!(
                    f,
                    ": includes {}, which includes it in turn",
                    included.display()
                )
            }
            Kind::Endless => f.write_str(
                ": its includes do not come to an end; see whether one leads back to another, and \
                 ask for all files of a level together",
            ),
            Kind::Io(_) => f.write_str(": cannot be read"),
            Kind::Contents(problem) => {
                if let Some(position) = problem.position {
                    write!(f, ":{}:{}", position.line, position.column)?;
                }
                if let Some(key) = &problem.key {
                    write!(f, ": {key}")?;
                }
                write!(f, ": {}", problem.message)
            }
        }
    }
}

/// What may have been meant by a path that is none.
fn pattern_hint(path: &Path) -> &'static str {
    let has = |part: Option<&OsStr>, wildcards: &[char]| {
        part.is_some_and(|part| part.to_string_lossy().contains(wildcards))
    };
    if has(path.parent().map(Path::as_os_str), &['*']) {
        " (only the last part of a path may be a pattern)"
    } else if has(path.file_name(), &['*', '?', '[']) {
        " (taken as it is: only sets and includes know patterns, and `**` and an open `[` are none)"
    } else {
        ""
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            // The operating system knows no values.
            Kind::Io(error) | Kind::Thread(error) => Some(error),
            _ => None,
        }
    }
}
