//! The types that the closures of the app may return.
//!
//! Each trait has one implementation per shape, with a *concrete* error. With a generic error, the
//! compiler could not infer the type of a closure that ends with `Ok(value)`.

use crate::BoxError;

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for Result<T, crate::BoxError> {}
    impl Sealed for () {}
    impl Sealed for Result<crate::run::Ended, crate::run::Error> {}
}

/// The output of a function that builds a component: `Result<T, BoxError>`, and nothing else.
///
/// `?` turns every error into a [`BoxError`], so a closure needs only a final `Ok(..)`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{BoxError, Manager};
///
/// async fn read_port() -> Result<u16, BoxError> {
///     Ok("8080".parse()?)
/// }
///
/// let mut reload = Manager::new();
/// let port = reload.source("port", read_port).await?;
/// let address = reload
///     .derive("address", &port, async |port| Ok(format!("[::1]:{port}")))
///     .await?;
/// assert_eq!(*address.load(), "[::1]:8080");
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a component is built by a function that returns `Result<T, BoxError>`, not `{Self}`",
    label = "this returns `{Self}`",
    note = "end it with `Ok(value)`; pass errors on with `?`, which boxes them",
    note = "a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`"
)]
pub trait Built: sealed::Sealed + Send + 'static {
    /// The value of the component.
    type Value: Send + Sync + 'static;

    /// Returns the value, or the error that prevented it.
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, BoxError>;
}

impl<T: Send + Sync + 'static> Built for Result<T, BoxError> {
    type Value = T;

    fn into_result(self) -> Result<T, BoxError> {
        self
    }
}

/// The output of an effect (a reloader, an `apply`, the app itself): `()` or `Result<(), BoxError>`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Action, Manager, Triggers};
///
/// let mut reload = Manager::new();
/// reload.add(0, "log", async |triggers: Triggers| println!("{triggers}"));
/// reload.add(0, "probe", async |_: Triggers| {
///     let _port: u16 = "8080".parse()?;
///     Ok(())
/// });
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         let report = handle.reload("the example").await?;
///         assert!(report.steps().iter().all(|step| step.action() == Action::Ran));
///         Ok(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "an effect returns `()` or `Result<(), BoxError>`, not `{Self}`",
    label = "this returns `{Self}`",
    note = "end it with `Ok(())` after the last `?`, or with `;` when it cannot fail",
    note = "a function with an error type of its own is called in a closure: `async |input| Ok(function(input).await?)`"
)]
pub trait Done: sealed::Sealed + Send + 'static {
    /// Returns the error if the effect failed.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl Done for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Done for Result<(), BoxError> {
    fn into_result(self) -> Self {
        self
    }
}

/// The output of the app that [`Manager::run`](crate::Manager::run) surrounds: `()`, `Result<(),
/// BoxError>`, or the output of a [`run::Group`](crate::run::Group).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, run};
///
/// Manager::new().run(async |_stop| ()).await?;
///
/// let failed = Manager::new().run(async |_stop| {
///     let _port: u16 = "http".parse()?;
///     Ok(())
/// });
/// assert_eq!(failed.await.unwrap_err().to_string(), "invalid digit found in string");
///
/// let mut group = run::Group::new();
/// group.add("once", async |_| ());
/// Manager::new().run(|stop| group.run_until(stop)).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "the app returns `()`, `Result<(), BoxError>` or the result of a `run::Group`, not `{Self}`",
    label = "this returns `{Self}`",
    note = "end it with `Ok(())` after the last `?`, or with `;` when it cannot fail"
)]
pub trait AppOutput: sealed::Sealed {
    /// Returns the error if the app failed.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), BoxError>;
}

impl AppOutput for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl AppOutput for Result<(), BoxError> {
    fn into_result(self) -> Self {
        self
    }
}

impl AppOutput for Result<crate::run::Ended, crate::run::Error> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map(drop).map_err(BoxError::from)
    }
}
