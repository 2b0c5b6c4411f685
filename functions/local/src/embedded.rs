//! DynamoDB in this process, on a loopback port: the SDK, the conditions and the paging are the real ones.

use std::path::Path;

use anyhow::{Context, anyhow};
use aws_sdk_dynamodb::Client;
use dynoxide::Database;
use shared::aws::{Account, Clients};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The table's name here.
pub const TABLE: &str = "payrelay";

/// A running database.
pub struct Embedded {
    database: Database,
    url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
}

impl Embedded {
    /// A database in memory.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn in_memory() -> anyhow::Result<Self> {
        Self::serve(Database::memory().context("the embedded database")?).await
    }

    /// A database in a file, which is made if it is not there.
    ///
    /// # Errors
    /// If the file is no database, or no port can be had.
    pub async fn in_file(path: &Path) -> anyhow::Result<Self> {
        let name = path
            .to_str()
            .with_context(|| format!("{} is no text", path.display()))?;
        Self::serve(Database::new(name).with_context(|| format!("can't open {name}"))?).await
    }

    async fn serve(database: Database) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("the database's port")?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            async {
                let _dropped = stopped.await;
            },
        ));
        Ok(Self {
            database,
            url,
            stop,
            server,
        })
    }

    /// Where it is, and who we are there.
    #[must_use]
    pub fn account(&self) -> Account {
        Account::local(&self.url)
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Clients::new(self.account()).dynamodb()
    }

    /// Removes the items whose time is over, as DynamoDB does by itself. How many there were.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire(&self) -> anyhow::Result<usize> {
        let database = self.database.clone();
        let expired = tokio::task::spawn_blocking(move || database.sweep_ttl()).await?;
        expired.context("the embedded database")
    }

    /// Ends it when what is asked of it is answered.
    ///
    /// # Errors
    /// If it had ended badly before.
    pub async fn end(self) -> anyhow::Result<()> {
        let _gone_already = self.stop.send(());
        self.server.await?.map_err(|problem| anyhow!(problem))
    }
}
