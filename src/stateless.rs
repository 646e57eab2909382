//! Closures that keep nothing between two calls.

/// A closure that neither changes nor gives away what it captured, so that its copies are as good as
/// it is: the closures that are sources, reloaders, notifiers and probes.
///
/// Such a closure is cloned for each call, because only a future that owns what it works with can be
/// promised to be `Send`. What it changed in its captures would be lost with the clone. `AsyncFn`
/// refuses that, and cannot be the bound itself: the compiler would say which kind of closure it
/// expects, and nothing about what to write instead. Through this trait it prints the notes of
/// `Source`, `Reloader`, `Notifier` and `Probe`.
pub trait Stateless<Arguments> {}

#[diagnostic::do_not_recommend]
impl<F, O> Stateless<()> for F where F: AsyncFn() -> O {}

#[diagnostic::do_not_recommend]
impl<F, A, O> Stateless<(A,)> for F where F: AsyncFn(A) -> O {}
