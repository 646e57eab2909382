//! The inputs of components.

use crate::live::{Draft, Lease, Live, Selection, Slot};

mod sealed {
    pub trait Sealed {}
}

/// The inputs of a component: a handle, a selection, or a tuple of up to eight of them.
///
/// | input | the build gets | it runs again when |
/// |---|---|---|
/// | `&config` or `config` ([`Live<T>`]) | [`Lease<T>`] | the component was rebuilt |
/// | `config.select(\|c\| &c.part)` | a copy of the part | the part changed (`PartialEq`) |
/// | `config.map(\|c\| (c.a, c.b))` | the result | the result changed (`PartialEq`) |
/// | `(a, b, ..)` | a tuple of the above | any of them changed |
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// # struct Config { host: String, port: u16 }
/// # let read = async || Ok(Config { host: "localhost".into(), port: 80 });
/// let scheme = reload.source("scheme", async || Ok("http")).await?;
/// let config = reload.source("config", read).await?;
///
/// let inputs = (&scheme, config.select(|c| &c.host), config.map(|c| c.port + 8000));
/// let url = reload
///     .derive("url", inputs, async |(scheme, host, port)| {
///         Ok(format!("{}://{host}:{port}/", *scheme))
///     })
///     .await?;
/// assert_eq!(*url.load(), "http://localhost:8080/");
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a component",
    label = "not a handle",
    note = "an input is a handle such as `source(..).await?` gives, a part of one (`config.select(|c| &c.part)`), or a tuple of up to eight of them",
    note = "is there an `.await?` missing where the component was made?",
    note = "what no reload replaces is not an input: move it into the closure, `async move |..| ..`"
)]
pub trait Inputs: sealed::Sealed {
    /// The values that the build gets.
    type Values: Send + 'static;

    #[doc(hidden)]
    #[allow(private_bounds, reason = "the lookup of inputs is private")]
    type Bound: Bound<Values = Self::Values>;

    #[doc(hidden)]
    fn bind(&self) -> Self::Bound;
}

/// Inputs in the form in which a component keeps them.
pub(crate) trait Bound: Send + Sync + 'static {
    type Values: Send + 'static;
    /// The values of the components that are read, taken out of a draft.
    type Held;
    /// A record to tell later if the inputs changed. It holds no lease.
    type Seen: Send + Sync + 'static;
    /// The values that must live as long as what is built from them.
    type Kept: Send + Sync + 'static;

    /// Calls `f` for each handle.
    fn visit(&self, f: &mut dyn FnMut(Handle<'_>));

    /// Takes the values out of a draft. Unlike `values` and `is_unchanged`, it runs no code of the app.
    fn hold(&self, draft: &Draft) -> Self::Held;

    fn values(&self, held: Self::Held) -> (Self::Values, Self::Seen, Self::Kept);

    fn is_unchanged(&self, held: &Self::Held, seen: &Self::Seen) -> bool;
}

/// The component that an input reads.
pub(crate) struct Handle<'a> {
    pub(crate) publication: &'a std::sync::Arc<crate::live::Publication>,
    pub(crate) index: usize,
    pub(crate) name: &'a std::sync::Arc<str>,
}

impl<'a> Handle<'a> {
    fn of<T: Send + Sync + 'static>(live: &'a Live<T>) -> Self {
        Self {
            publication: &live.publication,
            index: live.index,
            name: &live.home().name,
        }
    }
}

impl<T: Send + Sync + 'static> Bound for Live<T> {
    type Values = Lease<T>;
    type Held = Lease<T>;
    type Seen = u64;
    type Kept = Lease<T>;

    fn visit(&self, f: &mut dyn FnMut(Handle<'_>)) {
        f(Handle::of(self));
    }

    fn hold(&self, draft: &Draft) -> Lease<T> {
        Lease::new(Slot::share(draft.slot(self.index)))
    }

    fn values(&self, held: Lease<T>) -> (Lease<T>, u64, Lease<T>) {
        (held.clone(), held.serial(), held)
    }

    fn is_unchanged(&self, held: &Lease<T>, seen: &u64) -> bool {
        held.serial() == *seen
    }
}

impl<T, U> Bound for Selection<T, U>
where
    T: Send + Sync + 'static,
    U: Clone + PartialEq + Send + Sync + 'static,
{
    type Values = U;
    type Held = Lease<T>;
    type Seen = U;
    type Kept = ();

    fn visit(&self, f: &mut dyn FnMut(Handle<'_>)) {
        f(Handle::of(&self.live));
    }

    fn hold(&self, draft: &Draft) -> Lease<T> {
        self.live.hold(draft)
    }

    fn values(&self, held: Lease<T>) -> (U, U, ()) {
        let part = self.of(&held);
        (part.clone(), part, ())
    }

    fn is_unchanged(&self, held: &Lease<T>, seen: &U) -> bool {
        self.is(held, seen)
    }
}

impl<T: Send + Sync + 'static> sealed::Sealed for Live<T> {}

impl<T: Send + Sync + 'static> Inputs for Live<T> {
    type Values = Lease<T>;
    type Bound = Self;

    fn bind(&self) -> Self {
        self.clone()
    }
}

impl<T: Send + Sync + 'static, U> sealed::Sealed for Selection<T, U> {}

impl<T, U> Inputs for Selection<T, U>
where
    T: Send + Sync + 'static,
    U: Clone + PartialEq + Send + Sync + 'static,
{
    type Values = U;
    type Bound = Self;

    fn bind(&self) -> Self {
        self.clone()
    }
}

impl<I: sealed::Sealed> sealed::Sealed for &I {}

impl<I: Inputs> Inputs for &I {
    type Values = I::Values;
    type Bound = I::Bound;

    fn bind(&self) -> I::Bound {
        (**self).bind()
    }
}

macro_rules! tuple {
    ($($input:ident $i:tt),+) => {
        impl<$($input: sealed::Sealed),+> sealed::Sealed for ($($input,)+) {}

        impl<$($input: Inputs),+> Inputs for ($($input,)+) {
            type Values = ($($input::Values,)+);
            type Bound = ($($input::Bound,)+);

            fn bind(&self) -> Self::Bound {
                ($(self.$i.bind(),)+)
            }
        }

        impl<$($input: Bound),+> Bound for ($($input,)+) {
            type Values = ($($input::Values,)+);
            type Held = ($($input::Held,)+);
            type Seen = ($($input::Seen,)+);
            type Kept = ($($input::Kept,)+);

            fn visit(&self, f: &mut dyn FnMut(Handle<'_>)) {
                $(self.$i.visit(f);)+
            }

            fn hold(&self, draft: &Draft) -> Self::Held {
                ($(self.$i.hold(draft),)+)
            }

            fn values(&self, held: Self::Held) -> (Self::Values, Self::Seen, Self::Kept) {
                let all = ($(self.$i.values(held.$i),)+);
                (($(all.$i.0,)+), ($(all.$i.1,)+), ($(all.$i.2,)+))
            }

            fn is_unchanged(&self, held: &Self::Held, seen: &Self::Seen) -> bool {
                $(self.$i.is_unchanged(&held.$i, &seen.$i))&&+
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
