//! What the drafting must be told from outside.

use std::fmt;
use std::time::Duration;

/// What the drafting must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The language model that writes the text. Without one it is written from templates, and says so.
    pub model: Option<ModelSettings>,
}

/// A language model behind an OpenAI-compatible interface.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// Sent as a bearer token.
    pub api_key: Secret,
    /// Where the interface begins, with its version: `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model's name.
    pub model: String,
    /// How long one call may take, connecting and reading included.
    pub call_timeout: Duration,
    /// What the model costs.
    pub price: Price,
}

/// What a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// US dollars for a million tokens sent.
    pub input_usd_per_million: f64,
    /// US dollars for a million tokens received.
    pub output_usd_per_million: f64,
}

impl Price {
    /// The price of one call in US dollars.
    #[must_use]
    pub fn of(self, input_tokens: u64, output_tokens: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no call has 2^53 tokens")]
        let (input, output) = (input_tokens as f64, output_tokens as f64);
        (input * self.input_usd_per_million + output * self.output_usd_per_million) / 1e6
    }
}

/// A secret text. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The key cannot stand in a header.
    #[error("the API key of the language model holds characters that a header cannot carry")]
    ApiKey,
    /// The address is none.
    #[error("the base URL of the language model is not an http or https address")]
    BaseUrl,
    /// There is no name.
    #[error("the name of the language model is empty")]
    Model,
    /// No call could ever succeed.
    #[error("the time allowed for a call of the language model is zero")]
    CallTimeout,
    /// A price is negative or no number.
    #[error("a price of the language model is negative or not a number")]
    Price,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

impl ModelSettings {
    pub(crate) fn check(&self) -> Result<reqwest::Url, SettingsError> {
        let key = self.api_key.expose();
        if key.is_empty() || !key.bytes().all(|b| (0x21..0x7f).contains(&b)) {
            return Err(SettingsError::ApiKey);
        }
        let url = reqwest::Url::parse(&self.base_url).map_err(|_| SettingsError::BaseUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.cannot_be_a_base() {
            return Err(SettingsError::BaseUrl);
        }
        if self.model.trim().is_empty() {
            return Err(SettingsError::Model);
        }
        if self.call_timeout.is_zero() {
            return Err(SettingsError::CallTimeout);
        }
        let sound = |price: f64| price.is_finite() && price >= 0.0;
        if !sound(self.price.input_usd_per_million) || !sound(self.price.output_usd_per_million) {
            return Err(SettingsError::Price);
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ModelSettings {
        ModelSettings {
            api_key: Secret::new("sk-planted"),
            base_url: "https://models.example/v1".into(),
            model: "gpt-4o-mini".into(),
            call_timeout: Duration::from_secs(60),
            price: Price { input_usd_per_million: 0.15, output_usd_per_million: 0.6 },
        }
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        assert!(!format!("{:?}", Settings { model: Some(settings()) }).contains("sk-planted"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_the_start() {
        assert!(settings().check().is_ok());
        let wrong = [
            ModelSettings { api_key: Secret::new("two\nlines"), ..settings() },
            ModelSettings { api_key: Secret::new(""), ..settings() },
            ModelSettings { base_url: "models.example".into(), ..settings() },
            ModelSettings { base_url: "file:///etc".into(), ..settings() },
            ModelSettings { model: " ".into(), ..settings() },
            ModelSettings { call_timeout: Duration::ZERO, ..settings() },
            ModelSettings { price: Price { input_usd_per_million: -1.0, ..Price::default() }, ..settings() },
        ];
        for settings in wrong {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }

    #[test]
    fn a_call_costs_what_its_tokens_cost() {
        assert!((settings().price.of(1_000_000, 500_000) - 0.45).abs() < 1e-12);
    }
}
