//! Closures that keep no state between calls.

/// A closure that neither changes nor moves out what it captured, so that its clones are as good as
/// itself: the closures that are sources, reloaders, notifiers and probes.
///
/// Such a closure is cloned for each call, because only a future that owns its captures can be promised
/// to be `Send`. Changes to the captures would be lost with the clone. `AsyncFn` rejects them, but
/// cannot be the bound itself: the compiler would name the kind of closure that it expects, and not say
/// what to write instead. Through this trait it prints the notes of `Source`, `Reloader`, `Notifier`
/// and `Probe`.
pub trait Stateless<Arguments> {}

#[diagnostic::do_not_recommend]
impl<F, O> Stateless<()> for F where F: AsyncFn() -> O {}

#[diagnostic::do_not_recommend]
impl<F, A, O> Stateless<(A,)> for F where F: AsyncFn(A) -> O {}
