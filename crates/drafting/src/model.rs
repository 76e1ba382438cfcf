//! Calls of the language model: one attempt each, bounded in time and size, with every way to fail told apart.
//!
//! The client's own retries are off: it is given the service below, which sends a request once, and which hides every
//! provider's text from it, since the client would log bodies that it cannot read.

mod wire;

use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestMessage, CreateChatCompletionRequest, CreateChatCompletionResponse, FinishReason,
    ResponseFormat, ResponseFormatJsonSchema,
};
use domain::Clock;
use domain::proposal::{FailureClass, Usage};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::breaker::{Breaker, BreakerState};
use crate::failure::StepFailure;
use crate::settings::{ModelSettings, SettingsError};
use wire::CallError;

/// The longest answer in tokens, a reasoning model's thoughts included.
const MOST_ANSWER_TOKENS: u32 = 12_000;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long asking for the model may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the provider knows the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelCheck {
    /// It does.
    Found,
    /// It says clearly that it does not.
    NoSuchModel,
    /// It could not be asked, or its answer says neither.
    Unknown(FailureClass),
}

/// The language model.
pub(crate) struct Model {
    settings: ModelSettings,
    url: reqwest::Url,
    http: reqwest::Client,
    client: Client<OpenAIConfig>,
    breaker: Breaker,
    clock: Clock,
}

/// What the model wrote, and what it used.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) text: String,
    pub(crate) usage: Usage,
}

/// The shape that an answer must have.
#[derive(Debug, Clone)]
pub(crate) struct AnswerShape {
    pub(crate) name: &'static str,
    pub(crate) schema: Value,
}

impl Model {
    pub(crate) fn new(settings: ModelSettings, clock: Clock) -> Result<Self, SettingsError> {
        let url = settings.check()?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("allegiant/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(SettingsError::Client)?;
        // Without these the client would read an organisation and a project from the environment.
        let config = OpenAIConfig::new()
            .with_api_base(settings.base_url.trim_end_matches('/'))
            .with_api_key(settings.api_key.expose())
            .with_org_id("")
            .with_project_id("");
        let client = Client::build(http.clone(), config).with_http_service(wire::once(http.clone(), clock.clone()));
        Ok(Self { settings, url, http, client, breaker: Breaker::new(clock.clone()), clock })
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.model
    }

    pub(crate) fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Asks the provider for the model.
    pub(crate) async fn check(&self) -> ModelCheck {
        let mut url = self.url.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(["models", &self.settings.model])),
            Err(()) => return ModelCheck::Unknown(FailureClass::BadRequest),
        }
        let ask = async {
            let request = self.http.get(url).bearer_auth(self.settings.api_key.expose());
            let answer = request.send().await.map_err(|error| CallError::from_transport(&error))?;
            wire::read(answer, &self.clock).await
        };
        match tokio::time::timeout(CHECK_TIMEOUT, ask).await {
            Ok(Ok(_)) => ModelCheck::Found,
            Ok(Err(CallError::Refused { status: 404, code, .. })) if code == "model_not_found" => {
                ModelCheck::NoSuchModel
            }
            Ok(Err(error)) => ModelCheck::Unknown(error.class()),
            Err(_) => ModelCheck::Unknown(FailureClass::Timeout),
        }
    }

    /// One call. An answer is returned only if the model finished it; its shape is for the caller to check.
    pub(crate) async fn complete(
        &self,
        messages: Vec<ChatCompletionRequestMessage>,
        shape: AnswerShape,
        cancel: &CancellationToken,
    ) -> Result<Completion, StepFailure> {
        let permit = self
            .breaker
            .enter()
            .map_err(|wait| StepFailure { retry_after: Some(wait), ..StepFailure::new(FailureClass::Overload) })?;
        let request = CreateChatCompletionRequest {
            model: self.settings.model.clone(),
            messages,
            max_completion_tokens: Some(MOST_ANSWER_TOKENS),
            response_format: Some(ResponseFormat::JsonSchema {
                json_schema: ResponseFormatJsonSchema {
                    description: None,
                    name: shape.name.to_owned(),
                    schema: shape.schema,
                    strict: Some(true),
                },
            }),
            store: Some(false),
            ..CreateChatCompletionRequest::default()
        };
        let began = Instant::now();
        let chat = self.client.chat();
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                self.note("cancelled", began.elapsed(), None);
                return Err(StepFailure::new(FailureClass::Timeout));
            }
            outcome = tokio::time::timeout(self.settings.call_timeout, chat.create(request)) => outcome,
        };
        let elapsed = began.elapsed();
        let answer = match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(CallError::from_client(error)),
            Err(_) => Err(CallError::Timeout),
        };
        match answer {
            Ok(answer) => {
                permit.answered();
                let usage = self.usage(&answer, elapsed);
                let finished = finished(answer);
                self.note(finished.as_ref().map_or_else(|class| class.as_str(), |_| "answered"), elapsed, Some(&usage));
                match finished {
                    Ok(text) => Ok(Completion { text, usage }),
                    Err(class) => Err(StepFailure { usage: Some(usage), ..StepFailure::new(class) }),
                }
            }
            Err(error) => {
                let class = error.class();
                match class {
                    FailureClass::Overload | FailureClass::Timeout | FailureClass::Connection => permit.failed(),
                    // The provider answered; whether it likes us is another matter.
                    FailureClass::RateLimit
                    | FailureClass::Refusal
                    | FailureClass::Length
                    | FailureClass::CutOff
                    | FailureClass::InvalidOutput
                    | FailureClass::Quota
                    | FailureClass::Auth
                    | FailureClass::BadRequest
                    | FailureClass::InputUnusable
                    | FailureClass::Defect => permit.answered(),
                }
                self.note(class.as_str(), elapsed, None);
                let usage = Usage {
                    model: self.settings.model.clone(),
                    requests: 1,
                    seconds: elapsed.as_secs_f64(),
                    ..Usage::default()
                };
                Err(StepFailure { retry_after: error.retry_after(), usage: Some(usage), ..StepFailure::new(class) })
            }
        }
    }

    fn usage(&self, answer: &CreateChatCompletionResponse, elapsed: Duration) -> Usage {
        let (input_tokens, output_tokens) = answer
            .usage
            .as_ref()
            .map_or((0, 0), |usage| (u64::from(usage.prompt_tokens), u64::from(usage.completion_tokens)));
        Usage {
            model: self.settings.model.clone(),
            requests: 1,
            input_tokens,
            output_tokens,
            cost_estimate_usd: self.settings.price.of(input_tokens, output_tokens),
            seconds: elapsed.as_secs_f64(),
        }
    }

    fn note(&self, outcome: &'static str, elapsed: Duration, usage: Option<&Usage>) {
        let model = self.settings.model.clone();
        metrics::counter!("model_calls_total", "model" => model.clone(), "outcome" => outcome).increment(1);
        metrics::histogram!("model_call_seconds", "model" => model.clone()).record(elapsed.as_secs_f64());
        let (prompt, completion) = usage.map_or((0, 0), |usage| (usage.input_tokens, usage.output_tokens));
        metrics::counter!("model_tokens_total", "model" => model.clone(), "kind" => "prompt").increment(prompt);
        metrics::counter!("model_tokens_total", "model" => model, "kind" => "completion").increment(completion);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            model.name = %self.settings.model,
            model.outcome = outcome,
            tokens.input = prompt,
            tokens.output = completion,
            tokens.total = prompt + completion,
            elapsed_ms,
            "language model called"
        );
    }
}

/// The text of an answer that the model finished.
fn finished(answer: CreateChatCompletionResponse) -> Result<String, FailureClass> {
    let choice = answer.choices.into_iter().next().ok_or(FailureClass::InvalidOutput)?;
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(FailureClass::Refusal);
    }
    match choice.finish_reason {
        Some(FinishReason::Stop) => {
            choice.message.content.filter(|text| !text.trim().is_empty()).ok_or(FailureClass::InvalidOutput)
        }
        Some(FinishReason::Length) => Err(FailureClass::Length),
        Some(FinishReason::ContentFilter) => Err(FailureClass::Refusal),
        Some(FinishReason::ToolCalls | FinishReason::FunctionCall) => Err(FailureClass::InvalidOutput),
        None => Err(FailureClass::CutOff),
    }
}

impl CallError {
    fn from_client(error: OpenAIError) -> Self {
        match error {
            OpenAIError::Boxed(error) => error.downcast::<Self>().map_or(Self::Defect, |error| *error),
            OpenAIError::Reqwest(error) => Self::from_transport(&error),
            OpenAIError::ApiError(_)
            | OpenAIError::JSONDeserialize(..)
            | OpenAIError::FileSaveError(_)
            | OpenAIError::FileReadError(_)
            | OpenAIError::StreamError(_)
            | OpenAIError::InvalidArgument(_) => Self::Defect,
        }
    }
}
