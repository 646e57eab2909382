//! The app returns nothing, or whether it ended well.

//~ the app returns `()`, `Result<(), BoxError>` or the result of a `run::Group`, not `{integer}`
//~ end it with `Ok(())` after the last `?`, or with `;` when it cannot fail

use rekindle::{BoxError, Manager};

pub async fn start(reload: Manager) -> Result<(), BoxError> {
    reload.run(async |_stop| 5).await
}

fn main() {}
