//! The text of a proposal: written by a language model and held to the calculations, or from templates.

pub(crate) mod answer;
pub(crate) mod evidence;
mod prompt;
mod remarks;
pub(crate) mod revision;
pub(crate) mod story;
pub(crate) mod templates;

use domain::proposal::{FailureClass, Usage};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::StepInput;
use crate::design::Design;
use crate::failure::StepFailure;
use crate::model::{Completion, Model};
use answer::Answer;
use evidence::Evidence;
use revision::Difference;
use story::Story;

/// What the proposal names as provider and model where no model was asked.
pub(crate) const OFFLINE: (&str, &str) = ("offline", "templates");

/// The output of the narrative step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Narrative {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) prompt_version: String,
    /// The text as it was written last.
    pub(crate) answer: Answer,
    /// What the model was asked to correct.
    pub(crate) sent_back: Vec<Difference>,
}

/// Writes the text. A text that contradicts the calculations goes back once; what is still wrong then is for the
/// checks to mend.
pub(crate) async fn write(
    model: Option<&Model>,
    design: &Design,
    input: &StepInput<'_>,
    cancel: &CancellationToken,
) -> Result<(Narrative, Usage), StepFailure> {
    let language = input.generation.request.language;
    let Some(model) = model else {
        let (provider, name) = OFFLINE;
        let narrative = Narrative {
            provider: provider.to_owned(),
            model: name.to_owned(),
            prompt_version: templates::VERSION.to_owned(),
            answer: templates::write(&Story { design, language }),
            sent_back: vec![],
        };
        return Ok((narrative, Usage { model: name.to_owned(), ..Usage::default() }));
    };
    let evidence = Evidence::of(design);
    let messages = prompt::first(design, input.generation, input.project);
    let Completion { text, mut usage } = model.complete(messages.clone(), Answer::shape(), cancel).await?;
    let mut answer = Answer::read(&text)
        .map_err(|_| StepFailure { usage: Some(usage.clone()), ..StepFailure::new(FailureClass::InvalidOutput) })?;
    let sent_back = revision::differences(&answer, &evidence);
    if !sent_back.is_empty() {
        tracing::info!(
            proposal.id = %input.proposal,
            step.attempt = input.attempt,
            text.differences = sent_back.len(),
            "text sent back to the model"
        );
        match model.complete(prompt::second(messages, text, &sent_back), Answer::shape(), cancel).await {
            Ok(second) => {
                usage.add(&second.usage);
                if let Ok(better) = Answer::read(&second.text)
                    && revision::differences(&better, &evidence).len() <= sent_back.len()
                {
                    answer = better;
                }
            }
            Err(failure) if cancel.is_cancelled() => {
                return Err(StepFailure { usage: Some(usage), ..failure });
            }
            // The first text was paid for and can be mended: one failed correction does not throw it away.
            Err(failure) => {
                if let Some(used) = &failure.usage {
                    usage.add(used);
                }
                tracing::warn!(proposal.id = %input.proposal, error.class = failure.class.as_str(), "correction failed");
            }
        }
    }
    let narrative = Narrative {
        provider: "openai".to_owned(),
        model: model.name().to_owned(),
        prompt_version: prompt::VERSION.to_owned(),
        answer,
        sent_back,
    };
    Ok((narrative, usage))
}
