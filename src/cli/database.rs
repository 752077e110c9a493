//! The database of a command: the one of `DATABASE_URL`, a running server's private one, or a private one
//! that the command starts.

use std::time::Duration;

use super::failure::Failure;
use crate::config::{Settings, executable, search_path};
use crate::database::private_postgres::{Binaries, Options, PrivatePostgres, find_binaries};
use crate::database::{Connection, Database, connection_advice, migrate};

/// The time that a private PostgreSQL has for an orderly stop.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Connections in addition to the server's own, for commands, backups and people.
const SPARE_CONNECTIONS: u32 = 20;

/// Access to the database. Keeps a private PostgreSQL running if this process started it.
pub(crate) struct DatabaseAccess {
    url: String,
    /// The private PostgreSQL, if this process started it.
    postgres: Option<PrivatePostgres>,
    /// True if another process runs the private PostgreSQL.
    pub beside_server: bool,
}

impl DatabaseAccess {
    /// Finds the database for a command. Does not create a data folder.
    ///
    /// # Errors
    /// There is no database, or it cannot be started.
    pub(crate) fn find(settings: &Settings) -> Result<Self, Failure> {
        Self::get(settings, PrivatePostgres::open)
    }

    /// Finds the database, and creates the data folder if it is missing.
    ///
    /// # Errors
    /// The database cannot be started.
    pub(crate) fn make(settings: &Settings) -> Result<Self, Failure> {
        Self::get(settings, PrivatePostgres::start)
    }

    /// Runs a command's work on a connection.
    ///
    /// # Errors
    /// There is no database, or the work fails.
    pub(crate) fn use_for<T>(
        settings: &Settings,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let access = Self::find(settings)?;
        let done = access.connect().and_then(|mut connection| work(&mut connection));
        access.stop();
        done
    }

    fn get(
        settings: &Settings,
        begin: impl Fn(&Options) -> Result<PrivatePostgres, crate::database::private_postgres::Error>,
    ) -> Result<Self, Failure> {
        let failed = |error: crate::database::private_postgres::Error| Failure::new(error.to_string());
        if let Some(url) = &settings.database_url {
            return Ok(Self { url: url.expose().to_owned(), postgres: None, beside_server: false });
        }
        if let Some(url) = PrivatePostgres::running(&settings.data_dir).map_err(failed)? {
            return Ok(Self { url: url.expose().to_owned(), postgres: None, beside_server: true });
        }
        let postgres = begin(&options(settings)?).map_err(failed)?;
        let url = postgres.url().expose().to_owned();
        Ok(Self { url, postgres: Some(postgres), beside_server: false })
    }

    /// Returns the connection URL for libpq.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection to a database with this version's schema.
    ///
    /// # Errors
    /// The database cannot be reached, or a migration is pending.
    pub(crate) fn connect(&self) -> Result<Connection, Failure> {
        let mut connection = self.connect_to_any()?;
        let pending =
            migrate::is_pending(&mut connection).map_err(|error| Failure::new(error.to_string()))?;
        if pending {
            return Err(Failure::new(
                "the database does not have this version's schema: run `doorward migrate` first",
            ));
        }
        Ok(connection)
    }

    /// Opens a connection to the database, whatever its schema.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub(crate) fn connect_to_any(&self) -> Result<Connection, Failure> {
        Database::connect(&self.url).map_err(|error| {
            let said = error.to_string();
            connection_advice::find_advice(&said)
                .map_or_else(|| Failure::new(&said), |advice| Failure::new(refused(&said, advice.text)))
        })
    }

    /// Finds PostgreSQL's client programs.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn binaries(&self) -> Result<Binaries, Failure> {
        match &self.postgres {
            Some(postgres) => Ok(postgres.binaries().clone()),
            None => find_binaries(&search_path(), None).map_err(|error| Failure::new(error.to_string())),
        }
    }

    /// Stops the private PostgreSQL if this process started it.
    pub(crate) fn stop(self) {
        if let Some(postgres) = self.postgres {
            postgres.stop(STOP_DEADLINE);
        }
    }
}

/// Returns the error line for a connection that is refused permanently.
#[must_use]
pub(crate) fn refused(said: &str, advice: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{}: {advice}", lines.join("; "))
}

fn options(settings: &Settings) -> Result<Options, Failure> {
    let executable =
        executable().map_err(|error| Failure::new(format!("one of doorward's own files: {error}")))?;
    Ok(Options {
        data_dir: settings.data_dir.clone(),
        path: search_path(),
        executable,
        max_connections: settings.database_connections + SPARE_CONNECTIONS,
    })
}
