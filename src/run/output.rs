//! What actors return.

use super::{Ended, Error};
use crate::BoxError;

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
    impl Sealed for Result<super::Ended, super::Error> {}
}

/// What an actor returns: `()`, `Result<(), E>` with any error, or the result of another group.
///
/// A server of axum's returns `io::Result<()>`, so the error cannot be fixed to one type. A closure
/// that ends with a bare `Ok(())` therefore has to say which error it means, with
/// `Ok::<_, BoxError>(())`; a function with a return type of its own needs nothing.
///
/// A group inside another one that was ended by a signal passes that signal on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{BoxError, run};
///
/// let mut group = run::Group::new();
/// group.add("nothing", async |_| ());
/// group.add("any error", async |_| "7".parse::<u16>().map(drop));
/// group.add("boxed", async |_| {
///     let _port: u16 = "8080".parse()?;
///     Ok::<_, BoxError>(())
/// });
/// group.add("group", |stop| run::Group::new().run_until(stop));
/// group.run().await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "an actor returns `()` or `Result<(), E>`, not `{Self}`",
    label = "this actor returns `{Self}`",
    note = "end it with `;` when it cannot fail, else with `Ok::<_, BoxError>(())`; one that returns `!` loops for ever, and has to end when its token is cancelled"
)]
pub trait ActorOutput: sealed::Sealed + Send + 'static {
    /// How the actor ended.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl ActorOutput for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError> + Send + 'static> ActorOutput for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

impl ActorOutput for Result<Ended, Error> {
    fn into_result(self) -> Result<(), BoxError> {
        match self?.into_signal() {
            Some(signal) => Err(signal.into()),
            None => Ok(()),
        }
    }
}
