//! The error of a file that cannot be read or is rejected.

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

/// The reason why a file cannot be read or is rejected.
///
/// `Display` names the file, line, column, key, and what was expected:
///
/// ```text
/// config.json:3:15: printer.message: invalid type, expected a string
/// ```
///
/// **It never contains a value**, in `Display`, in `Debug` or in the causes, unless the app asks
/// for that with [`File::show_values`](super::File::show_values). The messages of serde and of the
/// parsers quote values and whole lines, so only text that is known to be the program's own is
/// kept. The message of an app's own `Deserialize` (`Error::custom`) usually quotes the value and
/// is withheld. It is shown if it is, word for word, a literal of std or of a well-known crate,
/// such as `invalid socket address syntax`. In your own types, put what is wanted into the
/// *expected* part of `invalid_value`, which is kept up to its first comma. Keys are shown, unless
/// they have characters or a length that keys do not have; those appear as `?`.
///
/// [`StepError::inner`](crate::StepError::inner) returns it from the error of a reload:
///
/// ```
/// use rekindle::{StepError, file};
///
/// fn line(error: &StepError) -> Option<usize> {
///     error.inner()?.downcast_ref::<file::Error>()?.line()
/// }
/// ```
///
/// The error of a JSON file:
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

    /// The file, as named by the app or by the file that includes it. The first of several files.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The line of the error in the contents, from 1.
    pub fn line(&self) -> Option<usize> {
        self.problem()?.position.map(|position| position.line)
    }

    /// The column of the error in the contents, from 1, in characters (not bytes).
    pub fn column(&self) -> Option<usize> {
        self.problem()?.position.map(|position| position.column)
    }

    /// The key of the rejected value, from the root of the file: `printer.message`, `hosts[2]`.
    /// `None` for syntax errors and for errors that concern the whole file.
    pub fn key(&self) -> Option<&str> {
        self.problem()?.key.as_deref()
    }

    /// The kind of the error.
    pub(super) fn reason(&self) -> Discriminant<Kind> {
        mem::discriminant(&self.0.kind)
    }

    /// Returns `true` if the cause can disappear without a change to the file.
    pub(super) fn may_pass(&self) -> bool {
        match &self.0.kind {
            Kind::Thread(_) => true,
            Kind::Io(error) => !is_of_the_path(error),
            _ => false,
        }
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

/// Returns `true` if only a change of the path or its symbolic links can help.
fn is_of_the_path(error: &io::Error) -> bool {
    #[cfg(unix)]
    let is_loop = error.raw_os_error() == Some(libc::ELOOP);
    #[cfg(not(unix))]
    let is_loop = false;
    let kind = error.kind();
    is_loop
        || matches!(
            kind,
            io::ErrorKind::InvalidFilename | io::ErrorKind::NotADirectory
        )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path can contain any characters.
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

/// A hint for a path that looks like a pattern but is taken as a file.
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
            // Errors of the operating system contain no values.
            Kind::Io(error) | Kind::Thread(error) => Some(error),
            _ => None,
        }
    }
}
