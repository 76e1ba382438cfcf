//! What is sent again and again, and what must be there for it.

use clap::ValueEnum;
use http::{Method, StatusCode, Uri};

use super::account::{self, Account, Generated, PROJECTS, Written};
use super::sheet;
use crate::Error;
use crate::client::path;
use crate::load::{Body, Load};

/// Stands in a body where a number goes that changes from request to request. No sheet holds it.
pub const MARK: &str = "@number@";

/// Where the numbers in bodies begin: above every value a sheet holds, so that already the first one changes something.
const FIRST: u64 = 1_000_000;

/// One kind of request, in the order in which they are measured. The text is what the manual and the table say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// the own account
    #[value(name = "me")]
    Me,
    /// list of 20 projects
    #[value(name = "list-20")]
    List20,
    /// list of 50 projects
    #[value(name = "list-50")]
    List50,
    /// list of 100 projects
    #[value(name = "list-100")]
    List100,
    /// get a project without proposals
    #[value(name = "get-project")]
    GetProject,
    /// get a project with 3 proposals
    #[value(name = "get-project-3-proposals")]
    GetProjectWithProposals,
    /// get a proposal
    #[value(name = "get-proposal")]
    GetProposal,
    /// poll a finished job
    #[value(name = "poll-job")]
    PollJob,
    /// get a project that is known already: 304
    #[value(name = "not-modified")]
    NotModified,
    /// create a project
    #[value(name = "create-project")]
    CreateProject,
    /// patch a small data document, all on one project
    #[value(name = "patch-small")]
    PatchSmall,
    /// patch the whole sheet with one value changed, all on one project
    #[value(name = "patch-sheet")]
    PatchSheet,
    /// list of 50 projects, with all the projects there
    #[value(name = "list-50-of-all")]
    List50OfAll,
    /// get a project without proposals, with all the projects there
    #[value(name = "get-project-of-all")]
    GetProjectOfAll,
}

/// When a scenario is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// While the account has few projects.
    Begun,
    /// When it has as many as were asked for.
    Filled,
}

/// What the scenarios work on.
#[derive(Debug)]
pub struct Prepared {
    /// A project with nothing in it.
    plain: String,
    /// One that small documents are sent to.
    small: String,
    /// One that sheets are sent to.
    sheet: String,
    /// One with 3 proposals, and the last of them; absent if no scenario needs them.
    generated: Option<(String, Generated)>,
    /// The next number for a body, so that no two scenarios send the same.
    next: u64,
}

/// Creates so many projects and fills those that scenarios work on.
///
/// # Errors
///
/// Any that a request may end with.
pub async fn prepare(account: &mut Account, projects: u64, with_proposals: bool) -> Result<Prepared, Error> {
    let plain = account.create_project().await?;
    let small = account.create_project().await?;
    let sheet = account.create_project().await?;
    account.write_data(&sheet, &sheet::whole()).await?;
    let mut made = 3;
    let mut generated = None;
    if with_proposals {
        let project = account.create_project().await?;
        account.write_data(&project, &sheet::whole()).await?;
        account.generate(&project).await?;
        account.generate(&project).await?;
        let last = account.generate(&project).await?;
        generated = Some((project, last));
        made += 1;
    }
    for _ in made..projects {
        account.create_project().await?;
    }
    Ok(Prepared { plain, small, sheet, generated, next: FIRST })
}

/// The creation of one project after the other, with their numbers in their names.
pub fn creation(path: Uri, first: u64) -> Load {
    let text = account::project(&format!("Plant {MARK}")).to_string();
    Load {
        method: Method::POST,
        path,
        body: Body::numbered(&text, MARK, first),
        known: None,
        expected: StatusCode::CREATED,
    }
}

impl Scenario {
    /// All of them, in the order in which they are measured.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it does.
    pub fn meaning(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    /// When it is measured.
    pub const fn stage(self) -> Stage {
        match self {
            Self::Me
            | Self::List20
            | Self::List50
            | Self::List100
            | Self::GetProject
            | Self::GetProjectWithProposals
            | Self::GetProposal
            | Self::PollJob
            | Self::NotModified
            | Self::CreateProject
            | Self::PatchSmall
            | Self::PatchSheet => Stage::Begun,
            Self::List50OfAll | Self::GetProjectOfAll => Stage::Filled,
        }
    }

    /// Whether it works on proposals.
    pub const fn needs_proposals(self) -> bool {
        matches!(self, Self::GetProjectWithProposals | Self::GetProposal | Self::PollJob)
    }

    /// Whether it changes anything.
    pub const fn writes(self) -> bool {
        matches!(self, Self::CreateProject | Self::PatchSmall | Self::PatchSheet)
    }

    /// What each of its requests adds one to.
    pub fn written(self, prepared: &Prepared) -> Option<Written> {
        match self {
            Self::CreateProject => Some(Written::Projects),
            Self::PatchSmall => Some(Written::Data(prepared.small.clone())),
            Self::PatchSheet => Some(Written::Data(prepared.sheet.clone())),
            Self::Me
            | Self::List20
            | Self::List50
            | Self::List100
            | Self::GetProject
            | Self::GetProjectWithProposals
            | Self::GetProposal
            | Self::PollJob
            | Self::NotModified
            | Self::List50OfAll
            | Self::GetProjectOfAll => None,
        }
    }

    /// Its request.
    ///
    /// # Errors
    ///
    /// [`Error::Lacks`] if its proposals were not prepared, and any that a request may end with.
    pub async fn load(self, account: &mut Account, prepared: &mut Prepared) -> Result<Load, Error> {
        let first = prepared.next;
        prepared.next += 100_000_000;
        let Prepared { plain, small, sheet, generated, .. } = prepared;
        let generated = generated.as_ref().ok_or(Error::Lacks(self.name(), "its proposals"));
        match self {
            Self::Me => get("/api/v1/auth/me"),
            Self::List20 => get(&format!("{PROJECTS}?size=20")),
            Self::List50 | Self::List50OfAll => get(&format!("{PROJECTS}?size=50")),
            Self::List100 => get(&format!("{PROJECTS}?size=100")),
            Self::GetProject | Self::GetProjectOfAll => get(&format!("{PROJECTS}/{plain}")),
            Self::GetProjectWithProposals => get(&format!("{PROJECTS}/{}", generated?.0)),
            Self::GetProposal => {
                let (project, Generated { proposal, .. }) = generated?;
                get(&format!("/api/v1/ai/proposals/{project}/proposals/{proposal}"))
            }
            Self::PollJob => get(&account::job_path(&generated?.1.job)),
            Self::NotModified => {
                let path = format!("{PROJECTS}/{plain}");
                let known = Some(account.tag(&path).await?);
                Ok(Load { known, expected: StatusCode::NOT_MODIFIED, ..get(&path)? })
            }
            Self::CreateProject => Ok(creation(path(PROJECTS)?, first)),
            Self::PatchSmall => patch(small, &sheet::small(MARK), first),
            Self::PatchSheet => patch(sheet, &sheet::changed(MARK), first),
        }
    }
}

fn get(at: &str) -> Result<Load, Error> {
    Ok(Load { method: Method::GET, path: path(at)?, body: Body::Empty, known: None, expected: StatusCode::OK })
}

fn patch(project: &str, text: &str, first: u64) -> Result<Load, Error> {
    let path = path(&format!("{PROJECTS}/{project}/data?merge=true"))?;
    let body = Body::numbered(text, MARK, first);
    Ok(Load { method: Method::PATCH, path, body, known: None, expected: StatusCode::OK })
}
