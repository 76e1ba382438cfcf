//! Settings: read once, from the environment, into types. `allegiant --help` is their manual.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use eventstore::{MasterKey, SigningKey};
use ipnet::IpNet;

/// One setting, as the manual shows it.
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// The value without it, in words.
    pub default: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    /// Whether `NAME_FILE` may name a file that holds the value.
    pub secret: bool,
}

const fn setting(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning, secret: false }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, meaning, secret: true }
}

/// Every setting there is. The reader asks for no other, and a test compares `docker-compose.yml` with this list.
pub const SETTINGS: &[Setting] = &[
    setting("HOST", "127.0.0.1", "address to listen on"),
    setting("PORT", "8000", "port to listen on; 0 takes a free one"),
    setting(
        "PUBLIC_URL",
        "http://HOST:PORT; required in production",
        "where clients reach the server; https makes cookies Secure",
    ),
    setting("ENVIRONMENT", "development", "development or production"),
    secret("DATABASE_URL", "required", "PostgreSQL, as the server's login"),
    secret("MIGRATION_DATABASE_URL", "DATABASE_URL", "PostgreSQL, as the login that may create roles and schemas"),
    setting("DATABASE_CONNECTIONS", "16", "connections to PostgreSQL at most"),
    secret("NATS_URL", "required", "NATS with JetStream, 2.10 or newer"),
    secret("REDIS_URL", "required", "Redis, for rate limits shared by instances"),
    secret("MASTER_KEY", "required", "32 bytes in base64: wraps the keys of personal data, signs sessions"),
    secret(
        "SIGNING_KEY",
        "required in production",
        "32 bytes in base64: the seed of the Ed25519 key that signs evidence",
    ),
    setting(
        "ERASURE_LIST_FILE",
        "required in production",
        "file outside the database that keeps erasures, which a restored backup must not undo",
    ),
    setting("CORS_ORIGINS", "http://localhost:3000", "origins of web clients, separated by commas"),
    setting("TRUSTED_PROXIES", "none", "networks whose X-Forwarded-For counts, separated by commas"),
    setting("RATE_LIMITS", "on", "on or off; off is refused in production"),
    secret("OPENAI_API_KEY", "none", "key for the language model; without one the text comes from templates"),
    setting("OPENAI_BASE_URL", "https://api.openai.com/v1", "the provider's address, with /v1"),
    setting("OPENAI_MODEL", "gpt-4o-mini", "the language model"),
    setting("OPENAI_TIMEOUT_SECONDS", "120", "how long one call to the model may take"),
    setting("OPENAI_INPUT_USD_PER_MILLION", "0.15", "price of a million tokens sent, for the cost estimate"),
    setting("OPENAI_OUTPUT_USD_PER_MILLION", "0.60", "price of a million tokens received, for the cost estimate"),
    setting("GENERATION_PLACES", "4", "generations that run at once in this process"),
    setting("GENERATION_LEASE_SECONDS", "6", "silence after which another worker takes over a generation"),
    setting("GENERATION_DEADLINE_SECONDS", "840", "time after which a generation ends as AI_TIMEOUT"),
    setting("IDEMPOTENCY_KEY_HOURS", "24", "how long the answer to a write is given again under its idempotency key"),
    setting("LOG", "info", "what is logged, as a tracing filter"),
    setting("LOG_FORMAT", "text on a terminal, else json", "text or json; logs go to standard error"),
    #[cfg(feature = "failpoints")]
    FAILPOINTS,
];

#[cfg(feature = "failpoints")]
const FAILPOINTS: Setting = setting("FAILPOINTS", "none", "what happens at which fail-point, as append.after=kill@3;…");

/// Whether mistakes that only a developer may make are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// On a developer's machine.
    Development,
    /// For real.
    Production,
}

impl Environment {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

/// A setting cannot be used. The message names it and never holds its value.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A required one is missing.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// It is set both ways.
    #[error("{0} and {0}_FILE are both set")]
    Twice(&'static str),
    /// The file it names cannot be read.
    #[error("the file that {0}_FILE names cannot be read")]
    File(&'static str, #[source] std::io::Error),
    /// Its value makes no sense.
    #[error("{name}: {why}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads settings. What it reads from is a function, so that tests need no environment.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Reader<'a> {
    /// Reads from `variable`.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable }
    }

    /// The value of a setting: the variable, or the contents of the file that `NAME_FILE` names. Empty counts as unset.
    fn optional(&self, name: &'static str) -> Result<Option<String>, SettingError> {
        let known = SETTINGS.iter().find(|setting| setting.name == name);
        debug_assert!(known.is_some(), "{name} is missing in SETTINGS");
        let read = |name: &str| (self.variable)(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let value = read(name);
        let file = known.filter(|setting| setting.secret).and_then(|_| read(&format!("{name}_FILE")));
        match (value, file) {
            (Some(_), Some(_)) => Err(SettingError::Twice(name)),
            (value, None) => Ok(value),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(PathBuf::from(file)).map_err(|e| SettingError::File(name, e))?;
                Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
            }
        }
    }

    fn required(&self, name: &'static str) -> Result<String, SettingError> {
        self.optional(name)?.ok_or(SettingError::Missing(name))
    }

    fn text(&self, name: &'static str, default: &str) -> Result<String, SettingError> {
        Ok(self.optional(name)?.unwrap_or_else(|| default.to_owned()))
    }

    fn number<T>(&self, name: &'static str, default: T, range: std::ops::RangeInclusive<T>) -> Result<T, SettingError>
    where
        T: std::str::FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.optional(name)? else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| SettingError::Invalid {
            name,
            why: format!("not a number from {} to {}", range.start(), range.end()),
        })
    }

    fn list(&self, name: &'static str, default: &str) -> Result<Vec<String>, SettingError> {
        let text = self.text(name, default)?;
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
}

/// How to reach the database, and as whom.
pub struct Database {
    /// As the server's login.
    pub url: String,
    /// As the login that migrates.
    pub migration_url: String,
    /// Connections at most.
    pub connections: u32,
}

impl Database {
    /// Reads what the database needs.
    pub fn read(reader: &Reader<'_>) -> Result<Self, SettingError> {
        let url = reader.required("DATABASE_URL")?;
        let migration_url = reader.optional("MIGRATION_DATABASE_URL")?.unwrap_or_else(|| url.clone());
        Ok(Self { url, migration_url, connections: reader.number("DATABASE_CONNECTIONS", 16, 1..=500)? })
    }
}

impl Database {
    /// The server's login, by name.
    pub fn login(&self) -> Result<String, SettingError> {
        let why = "not the address of a PostgreSQL database".to_owned();
        let options: sqlx::postgres::PgConnectOptions =
            self.url.parse().map_err(|_| SettingError::Invalid { name: "DATABASE_URL", why })?;
        Ok(options.get_username().to_owned())
    }
}

/// Reads the master key.
pub fn master_key(reader: &Reader<'_>) -> Result<MasterKey, SettingError> {
    MasterKey::from_base64(&reader.required("MASTER_KEY")?)
        .map_err(|_| SettingError::Invalid { name: "MASTER_KEY", why: "not 32 bytes in base64".to_owned() })
}

/// Reads the signing key. Without it nothing is signed.
pub fn signing_key(reader: &Reader<'_>) -> Result<Option<SigningKey>, SettingError> {
    let Some(text) = reader.optional("SIGNING_KEY")? else { return Ok(None) };
    SigningKey::from_base64(&text)
        .map(Some)
        .map_err(|_| SettingError::Invalid { name: "SIGNING_KEY", why: "not 32 bytes in base64".to_owned() })
}

/// Reads where erasures are kept outside the database.
fn erasure_list(reader: &Reader<'_>) -> Result<Option<PathBuf>, SettingError> {
    Ok(reader.optional("ERASURE_LIST_FILE")?.map(PathBuf::from))
}

/// Everything that `restore accept` needs.
pub struct Accept {
    /// The database.
    pub database: Database,
    /// NATS.
    pub nats_url: String,
    /// The master key.
    pub master_key: MasterKey,
    /// The key that signs what is accepted.
    pub signing_key: SigningKey,
    /// Where erasures are kept outside the database.
    pub erasure_list: Option<PathBuf>,
}

impl Accept {
    /// Reads everything that `restore accept` needs.
    pub fn read(reader: &Reader<'_>) -> Result<Self, SettingError> {
        Ok(Self {
            database: Database::read(reader)?,
            nats_url: reader.required("NATS_URL")?,
            master_key: master_key(reader)?,
            signing_key: signing_key(reader)?.ok_or(SettingError::Missing("SIGNING_KEY"))?,
            erasure_list: erasure_list(reader)?,
        })
    }
}

/// How logs look.
pub struct Logs {
    /// As a tracing filter.
    pub filter: String,
    /// `true` for JSON lines, `false` for text; `None` to look whether a terminal reads them.
    pub json: Option<bool>,
}

impl Logs {
    /// Reads how logs look.
    pub fn read(reader: &Reader<'_>) -> Result<Self, SettingError> {
        let json = match reader.optional("LOG_FORMAT")?.as_deref() {
            None => None,
            Some("json") => Some(true),
            Some("text") => Some(false),
            Some(_) => {
                return Err(SettingError::Invalid { name: "LOG_FORMAT", why: "neither text nor json".to_owned() });
            }
        };
        Ok(Self { filter: reader.text("LOG", "info")?, json })
    }
}

/// Everything that `serve` needs.
pub struct Serve {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Where clients reach the server; `None` until the port is known.
    pub public_url: Option<String>,
    /// Development or production.
    pub environment: Environment,
    /// The database.
    pub database: Database,
    /// NATS.
    pub nats_url: String,
    /// Redis.
    pub redis_url: String,
    /// The master key.
    pub master_key: MasterKey,
    /// The key that signs evidence; there is always one in production.
    pub signing_key: Option<SigningKey>,
    /// Where erasures are kept outside the database; there is always a place in production.
    pub erasure_list: Option<PathBuf>,
    /// Origins of web clients.
    pub cors_origins: Vec<String>,
    /// Networks of proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether requests are counted.
    pub rate_limits: bool,
    /// The language model, if there is one.
    pub model: Option<drafting::ModelSettings>,
    /// The generation process.
    pub generations: worker::Settings,
    /// How long a generation may take.
    pub generation_deadline: Duration,
    /// How long things are kept.
    pub kept: worker::Kept,
}

impl Serve {
    /// Reads everything that `serve` needs.
    pub fn read(reader: &Reader<'_>) -> Result<Self, SettingError> {
        let environment = match reader.text("ENVIRONMENT", "development")?.as_str() {
            "development" => Environment::Development,
            "production" => Environment::Production,
            _ => {
                let why = "neither development nor production".to_owned();
                return Err(SettingError::Invalid { name: "ENVIRONMENT", why });
            }
        };
        let rate_limits = match reader.text("RATE_LIMITS", "on")?.as_str() {
            "on" => true,
            "off" if environment == Environment::Development => false,
            "off" => {
                let why = "off is refused in production".to_owned();
                return Err(SettingError::Invalid { name: "RATE_LIMITS", why });
            }
            _ => return Err(SettingError::Invalid { name: "RATE_LIMITS", why: "neither on nor off".to_owned() }),
        };
        let signing_key = signing_key(reader)?;
        if environment == Environment::Production && signing_key.is_none() {
            return Err(SettingError::Missing("SIGNING_KEY"));
        }
        let erasure_list = erasure_list(reader)?;
        if environment == Environment::Production && erasure_list.is_none() {
            return Err(SettingError::Missing("ERASURE_LIST_FILE"));
        }
        let public_url = reader.optional("PUBLIC_URL")?;
        match &public_url {
            Some(url) => origin("PUBLIC_URL", url)?,
            // Taken for http, it would be wrong in links, and cookies would go over the wire in clear.
            None if environment == Environment::Production => return Err(SettingError::Missing("PUBLIC_URL")),
            None => (),
        }
        let cors_origins = reader.list("CORS_ORIGINS", "http://localhost:3000")?;
        cors_origins.iter().try_for_each(|url| origin("CORS_ORIGINS", url))?;
        Ok(Self {
            host: reader.text("HOST", "127.0.0.1")?,
            port: reader.number("PORT", 8000, 0..=u16::MAX)?,
            public_url,
            environment,
            database: Database::read(reader)?,
            nats_url: reader.required("NATS_URL")?,
            redis_url: reader.required("REDIS_URL")?,
            master_key: master_key(reader)?,
            signing_key,
            erasure_list,
            cors_origins,
            trusted_proxies: networks(&reader.list("TRUSTED_PROXIES", "")?)?,
            rate_limits,
            model: model(reader)?,
            generations: worker::Settings {
                places: reader.number("GENERATION_PLACES", 4, 1..=64)?,
                lease: Duration::from_secs(reader.number("GENERATION_LEASE_SECONDS", 6, 1..=600)?),
            },
            generation_deadline: Duration::from_secs(reader.number("GENERATION_DEADLINE_SECONDS", 840, 1..=86_400)?),
            kept: worker::Kept {
                receipts: Duration::from_secs(3600 * reader.number("IDEMPOTENCY_KEY_HOURS", 24, 1..=8760)?),
            },
        })
    }
}

fn model(reader: &Reader<'_>) -> Result<Option<drafting::ModelSettings>, SettingError> {
    let Some(api_key) = reader.optional("OPENAI_API_KEY")? else { return Ok(None) };
    Ok(Some(drafting::ModelSettings {
        api_key: drafting::Secret::new(api_key),
        base_url: reader.text("OPENAI_BASE_URL", "https://api.openai.com/v1")?.trim_end_matches('/').to_owned(),
        model: reader.text("OPENAI_MODEL", "gpt-4o-mini")?,
        call_timeout: Duration::from_secs(reader.number("OPENAI_TIMEOUT_SECONDS", 120, 1..=600)?),
        price: drafting::Price {
            input_usd_per_million: reader.number("OPENAI_INPUT_USD_PER_MILLION", 0.15, 0.0..=100_000.0)?,
            output_usd_per_million: reader.number("OPENAI_OUTPUT_USD_PER_MILLION", 0.60, 0.0..=100_000.0)?,
        },
    }))
}

/// Has happen at fail-points what the settings say.
#[cfg(feature = "failpoints")]
pub fn arm_failpoints(reader: &Reader<'_>) -> Result<(), SettingError> {
    let name = FAILPOINTS.name;
    let Some(plan) = reader.optional(name)? else { return Ok(()) };
    eventstore::failpoint::configure(&plan).map_err(|invalid| SettingError::Invalid { name, why: invalid.to_string() })
}

/// Networks such as `10.0.0.0/8`; an address alone is a network of one.
fn networks(items: &[String]) -> Result<Vec<IpNet>, SettingError> {
    let network = |item: &String| item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)).ok();
    items.iter().map(network).collect::<Option<_>>().ok_or_else(|| SettingError::Invalid {
        name: "TRUSTED_PROXIES",
        why: "not networks such as 10.0.0.0/8, separated by commas".to_owned(),
    })
}

/// An origin is a scheme, a host and perhaps a port, and nothing after them.
fn origin(name: &'static str, url: &str) -> Result<(), SettingError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']) => Ok(()),
        Some(_) | None => Err(SettingError::Invalid { name, why: "not of the form http(s)://host[:port]".to_owned() }),
    }
}

/// The manual of the settings, for `--help`.
pub fn manual() -> String {
    use std::fmt::Write as _;
    let mut text = "Settings (environment variables; one marked * may also be given as NAME_FILE, the name of a file \
                    that holds it):\n"
        .to_owned();
    for Setting { name, default, meaning, secret } in SETTINGS {
        let mark = if *secret { "*" } else { " " };
        let _ = writeln!(text, "  {mark} {name:<30} {meaning} [{default}]");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn read(variables: &[(&str, &str)]) -> Result<Serve, SettingError> {
        let mut all: HashMap<String, String> = [
            ("DATABASE_URL", "postgres://localhost/a"),
            ("NATS_URL", "nats://localhost"),
            ("REDIS_URL", "redis://localhost"),
            ("MASTER_KEY", KEY),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        for (name, value) in variables {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let variable = move |name: &str| all.get(name).cloned();
        Serve::read(&Reader::new(&variable))
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        match read(variables) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        let settings = read(&[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8000));
        assert_eq!(settings.cors_origins, ["http://localhost:3000"]);
        assert!(settings.rate_limits && settings.model.is_none());
        assert_eq!(settings.kept.receipts.as_secs(), 86_400);
    }

    #[test]
    fn switching_rate_limits_off_is_refused_in_production() {
        assert!(read(&[("RATE_LIMITS", "off")]).is_ok_and(|settings| !settings.rate_limits));
        let refused = refusal(&[("RATE_LIMITS", "off"), ("ENVIRONMENT", "production")]);
        assert_eq!(refused, "RATE_LIMITS: off is refused in production");
    }

    const PRODUCTION: [(&str, &str); 4] = [
        ("ENVIRONMENT", "production"),
        ("SIGNING_KEY", KEY),
        ("ERASURE_LIST_FILE", "erasures.ndjson"),
        ("PUBLIC_URL", "https://water.example.com"),
    ];

    #[test]
    fn production_knows_where_its_clients_reach_it() {
        assert!(read(&[]).is_ok_and(|settings| settings.public_url.is_none()));
        let [environment, key, list, _] = PRODUCTION;
        assert_eq!(refusal(&[environment, key, list]), "PUBLIC_URL is not set");
    }

    #[test]
    fn production_keeps_erasures_outside_the_database() {
        let key = ("SIGNING_KEY", KEY);
        assert!(read(&[]).is_ok_and(|settings| settings.erasure_list.is_none()));
        assert_eq!(refusal(&[("ENVIRONMENT", "production"), key]), "ERASURE_LIST_FILE is not set");
    }

    #[test]
    fn production_signs_its_checkpoints() {
        assert!(read(&[]).is_ok_and(|settings| settings.signing_key.is_none()));
        assert_eq!(refusal(&[("ENVIRONMENT", "production")]), "SIGNING_KEY is not set");
        assert!(read(&PRODUCTION).is_ok_and(|settings| settings.signing_key.is_some()));
        assert_eq!(refusal(&[("SIGNING_KEY", "s3cret")]), "SIGNING_KEY: not 32 bytes in base64");
    }

    #[test]
    fn a_refusal_names_the_setting_and_not_its_value() {
        assert_eq!(refusal(&[("MASTER_KEY", "s3cret")]), "MASTER_KEY: not 32 bytes in base64");
        assert_eq!(refusal(&[("NATS_URL", " ")]), "NATS_URL is not set");
        assert_eq!(refusal(&[("PORT", "70000")]), "PORT: not a number from 0 to 65535");
        assert!(refusal(&[("CORS_ORIGINS", "http://localhost:3000/app")]).starts_with("CORS_ORIGINS: "));
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_from_both() {
        let file = std::env::temp_dir().join(format!("allegiant-key-{}", uuid::Uuid::now_v7()));
        std::fs::write(&file, format!("{KEY}\n")).unwrap();
        let path = file.to_string_lossy().into_owned();
        assert_eq!(refusal(&[("MASTER_KEY_FILE", &path)]), "MASTER_KEY and MASTER_KEY_FILE are both set");
        assert!(read(&[("MASTER_KEY", ""), ("MASTER_KEY_FILE", &path)]).is_ok());
        std::fs::remove_file(file).unwrap();
    }
}
