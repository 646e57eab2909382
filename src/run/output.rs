//! The return types of actors.

use super::{Ended, Error};
use crate::BoxError;

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
    impl Sealed for Result<super::Ended, super::Error> {}
}

/// A return type of an actor: `()`, `Result<(), E>` with any error, or the result of another group.
///
/// The error type is open because some actors fix their own: an axum server returns
/// `io::Result<()>`. A closure that ends with a bare `Ok(())` must therefore name its error, with
/// `Ok::<_, BoxError>(())`. A function with a declared return type needs nothing.
///
/// A group inside another one passes the signal that ended it on to the outer group.
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
    /// Converts the output to a plain result.
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
