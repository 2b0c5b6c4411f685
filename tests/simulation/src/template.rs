//! The stage as it is at the beginning of every run: set once, by the operator API, and copied for each run.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use dynoxide::types::Item;
use dynoxide::{Database, ImportOptions};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::cluster::Cluster;
use crate::nature::Nature;
use crate::stage::Stage;
use crate::table::{self, TABLE};
use crate::weather::{Fault, Weather};

/// What is in the table, and who takes part.
pub struct Template {
    items: Vec<Item>,
    /// Who takes part.
    pub stage: Stage,
}

static TEMPLATE: OnceLock<Template> = OnceLock::new();

impl Template {
    /// The template of all runs of this process.
    ///
    /// # Errors
    /// If the stage can't be set.
    pub fn get() -> Result<&'static Self> {
        match TEMPLATE.get() {
            Some(template) => Ok(template),
            None => {
                let made = runtime()?.block_on(Self::make())?;
                Ok(TEMPLATE.get_or_init(|| made))
            }
        }
    }

    async fn make() -> Result<Self> {
        let fair = Weather::draw(0, &BTreeSet::from(Fault::ALL));
        let nature = Arc::new(Nature::new(0, fair, None, false));
        let cluster = Cluster::start(0, nature).await?;
        let stage = Stage::set(&cluster).await?;
        let items = table::look(&cluster.database, None)?;
        Ok(Self {
            items: serde_json::from_value(Value::Array(items)).context("items")?,
            stage,
        })
    }

    /// Puts into the table what is there at the beginning.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn copy_to(&self, database: &Database) -> Result<()> {
        let options = ImportOptions {
            record_streams: false,
            set_cached_at: false,
        };
        database
            .import_items(TABLE, self.items.clone(), options)
            .context("copying the stage")?;
        Ok(())
    }
}

/// A runtime of one thread whose time is driven.
///
/// # Errors
/// If the machine has none.
pub fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("a runtime")
}
