//! The app returns nothing, or whether it ended well.

use rekindle::{BoxError, Manager};

pub async fn start(reload: Manager) -> Result<(), BoxError> {
    reload.run(async |_stop| 5).await
}

fn main() {}
