//! A connection pool that is replaced while one of its connections is in use.
//!
//! It shows `retire`, for what takes more than a drop to end: the pool of connections to an SQLite
//! database. A reload opens the new pool beside the old one; from the commit on, requests use the new
//! one, and those that have a connection already finish with it. When the last of them has let go,
//! the old pool is handed back, by move, to be closed. A database that cannot be opened refuses the
//! reload, and nothing has happened.
//!
//! ```text
//! cargo run --example database_pool
//! ```
//!
//! It edits its own file, tells what happens, and ends by itself.

#![expect(
    clippy::print_stdout,
    reason = "what the example shows goes to standard output"
)]

use std::fs;
use std::path::{Path, PathBuf};

use deadpool_sqlite::{Config, Connection, Pool, Runtime};
use rekindle::{BoxError, Live, Manager, file};
use serde::Deserialize;

/// The file. What is equal to what it was before rebuilds nothing.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    database: PathBuf,
    connections: usize,
}

struct Database {
    /// Its file.
    name: String,
    pool: Pool,
}

impl Database {
    async fn open(settings: Settings) -> Result<Self, BoxError> {
        let pool = Config::new(&settings.database).builder(Runtime::Tokio1)?;
        let pool = pool.max_size(settings.connections).build()?;
        // A pool connects when it is asked to. What may fail belongs here, before the commit.
        let name = file_of(&pool.get().await?).await?;
        println!("opened {name}");
        Ok(Self { name, pool })
    }

    /// It is ours alone now: no request can be using it.
    async fn close(self) {
        self.pool.close();
        println!("closed {}", self.name);
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("database.toml");
    configure(&path, "blue.db")?;

    let mut reload = Manager::new();
    let settings = file::toml::<Settings>(&path).watch();
    let settings = reload.source("settings", settings).await?;
    let database = reload
        .derive(
            "database",
            settings.map(Settings::clone),
            async |settings| Database::open(settings).await,
        )
        .retire(async |old: Database| old.close().await)
        .await?;

    let handle = reload.handle();
    let mut reports = handle.subscribe();
    let app = async move |_stop| {
        // A long request has a connection. Its lease holds this pool, and nothing else.
        let held = database.lease();
        let connection = held.pool.get().await?;
        println!("a long request uses {}", file_of(&connection).await?);

        for name in ["green.db", "no/such/directory.db"] {
            configure(&path, name)?;
            let report = reports.next().await.expect("the manager runs");
            println!("reload {}", report.outcome());
            println!("a new request uses {}", ask(&database).await?);
        }

        println!("the long request uses {}", file_of(&connection).await?);
        for draining in handle.status().draining() {
            println!("still draining: {draining}");
        }
        // Now the old pool is closed, and at the end of the run the new one.
        drop((connection, held));
        Ok(())
    };
    reload.run(app).await
}

/// A request: its guard holds the whole generation, until it is answered.
async fn ask(database: &Live<Database>) -> Result<String, BoxError> {
    let database = database.load();
    let connection = database.pool.get().await?;
    file_of(&connection).await
}

/// A query that tells which database answers it.
async fn file_of(connection: &Connection) -> Result<String, BoxError> {
    let query = "SELECT file FROM pragma_database_list WHERE name = 'main'";
    let file = connection.interact(move |sqlite| sqlite.query_row(query, [], |row| row.get(0)));
    // The outer error says that the query panicked.
    let file: String = file.await.map_err(|error| error.to_string())??;
    let name = Path::new(&file).file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

fn configure(path: &Path, database: &str) -> Result<(), BoxError> {
    let database = path.with_file_name(database);
    let text = format!("database = {database:?}\nconnections = 4\n");
    Ok(fs::write(path, text)?)
}
