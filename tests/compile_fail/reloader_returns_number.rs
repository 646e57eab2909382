//! A reloader returns nothing, or whether it worked.

//~ an effect returns `()` or `Result<(), BoxError>`, not `{integer}`
//~ end it with `Ok(())` after the last `?`, or with `;` when it cannot fail

use rekindle::Manager;

pub fn start(reload: &mut Manager) {
    reload.add(0, "audit", async |_| 5);
}

fn main() {}
