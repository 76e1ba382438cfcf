//! Every kind of problem there is, with its fixed words.

use std::borrow::Cow;

use http::StatusCode;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// The domain code.
    pub code: &'static str,
    /// Fixed words.
    pub title: &'static str,
    /// The sentence for people, unless an occurrence has its own.
    pub message: &'static str,
    /// The constant that stands in `detail`, where there is one.
    pub detail: Option<&'static str>,
    /// When to try again, in seconds, where that can be said beforehand.
    pub retry_after: Option<u16>,
}

impl Kind {
    /// The domain code in lower case with dashes.
    #[must_use]
    pub fn slug(self) -> String {
        self.code.to_ascii_lowercase().replace('_', "-")
    }

    /// The `code` member: the web client tries again only on `HTTP_<status>`.
    #[must_use]
    pub fn client_code(self) -> Cow<'static, str> {
        let status = self.status.as_u16();
        if matches!(status, 408 | 429) || self.status.is_server_error() {
            Cow::Owned(format!("HTTP_{status}"))
        } else {
            Cow::Borrowed(self.code)
        }
    }

    const fn detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    const fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

macro_rules! catalogue {
    ($($name:ident $status:ident $title:literal $message:literal $(. $with:ident ($value:expr))*;)*) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind {
                status: StatusCode::$status,
                code: stringify!($name),
                title: $title,
                message: $message,
                detail: None,
                retry_after: None,
            }$(.$with($value))*;
        )*

        /// All of them.
        pub const ALL: &[Kind] = &[$($name),*];
    };
}

const UNAUTHORIZED: &str = "Unauthorized";

catalogue! {
    MALFORMED_JSON BAD_REQUEST "Malformed JSON" "The body is not valid JSON.";
    MALFORMED_MULTIPART BAD_REQUEST "Malformed form" "The body is not a valid form.";
    IDEMPOTENCY_KEY_INVALID BAD_REQUEST "Invalid idempotency key" "An idempotency key has 1 to 255 printable ASCII characters.";

    UNAUTHENTICATED UNAUTHORIZED "Not signed in" "Please sign in." .detail(UNAUTHORIZED);
    SESSION_EXPIRED UNAUTHORIZED "Session expired" "Your session has expired. Please sign in again." .detail(UNAUTHORIZED);
    SESSION_REVOKED UNAUTHORIZED "Session ended" "This session was ended. Please sign in again." .detail(UNAUTHORIZED);

    FORBIDDEN FORBIDDEN "Not allowed" "Your account may not do this.";
    SAME_ORIGIN_REQUIRED FORBIDDEN "Same origin required" "A change that is authorised by the cookie alone must come from this site's own pages.";

    NOT_FOUND NOT_FOUND "Not found" "There is nothing at this address.";
    PROJECT_NOT_FOUND NOT_FOUND "Project not found" "There is no such project among yours.";
    PROPOSAL_NOT_FOUND NOT_FOUND "Proposal not found" "There is no such proposal in this project.";
    JOB_NOT_FOUND NOT_FOUND "Job not found" "There is no such job among yours.";
    FILE_NOT_FOUND NOT_FOUND "File not found" "There is no such file in this project.";
    PARAMETER_NOT_FOUND NOT_FOUND "Parameter not found" "The project has no such quality parameter.";
    SECTION_NOT_FOUND NOT_FOUND "Section not found" "The project has no such section.";
    SESSION_NOT_FOUND NOT_FOUND "Session not found" "There is no such session among yours.";
    USER_NOT_FOUND NOT_FOUND "Account not found" "There is no such account.";
    STREAM_NOT_FOUND NOT_FOUND "Stream not found" "There is no such stream, or there was none at that time.";
    VIEW_NOT_FOUND NOT_FOUND "View not found" "There is no such view.";

    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED "Method not allowed" "This address does not answer this method.";
    REQUEST_TIMEOUT REQUEST_TIMEOUT "Request timeout" "The request did not arrive in time.";

    IDEMPOTENCY_IN_PROGRESS CONFLICT "Being worked on" "A request with this idempotency key is being worked on or was answered already." .retry_after(1);
    CONCURRENT_WRITE CONFLICT "Concurrent write" "Somebody else is changing the same thing. Nothing was stored; please try again.";
    JOB_ALREADY_FINISHED CONFLICT "Job already finished" "The job has ended already.";
    SECTION_EXISTS CONFLICT "Section exists" "The project has a section with this id already.";

    PRECONDITION_FAILED PRECONDITION_FAILED "Changed meanwhile" "It was changed since you read it. Nothing was stored.";

    PAYLOAD_TOO_LARGE PAYLOAD_TOO_LARGE "Body too large" "The body is larger than this address takes.";
    DOCUMENT_TOO_LARGE PAYLOAD_TOO_LARGE "Document too large" "The project's data would be larger than 1 MiB.";
    FILE_TOO_LARGE PAYLOAD_TOO_LARGE "File too large" "The file is larger than 10 MiB.";

    URI_TOO_LONG URI_TOO_LONG "Address too long" "The address is longer than 8 KiB.";
    HEADERS_TOO_LARGE REQUEST_HEADER_FIELDS_TOO_LARGE "Headers too large" "The headers are larger than 32 KiB.";

    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE "Unsupported media type" "The body has a type that this address does not take.";
    FILE_TYPE_NOT_ALLOWED UNSUPPORTED_MEDIA_TYPE "File type not allowed" "Files of this type are not taken.";

    RANGE_NOT_SATISFIABLE RANGE_NOT_SATISFIABLE "Range not satisfiable" "The file has no such range.";

    VALIDATION_ERROR UNPROCESSABLE_ENTITY "Values not valid" "Some values are missing or not valid.";
    IDEMPOTENCY_KEY_REUSED UNPROCESSABLE_ENTITY "Idempotency key reused" "This idempotency key was used for another request.";
    FILE_CONTENT_MISMATCH UNPROCESSABLE_ENTITY "Content does not fit" "The file's content does not fit its name.";
    FILE_EMPTY UNPROCESSABLE_ENTITY "File empty" "The file is empty.";

    RATE_LIMITED TOO_MANY_REQUESTS "Too many requests" "Too many requests. Please wait a moment.";
    LOGIN_THROTTLED TOO_MANY_REQUESTS "Too many sign-ins" "Too many attempts to sign in. Please wait before the next one.";
    GENERATION_LIMIT TOO_MANY_REQUESTS "Too many generations" "Five proposals are being generated already. Please wait until one is ready." .retry_after(30);

    INTERNAL_ERROR INTERNAL_SERVER_ERROR "Internal error" "Something went wrong on our side. The request id helps us to find it.";
    READ_MODEL_BEHIND SERVICE_UNAVAILABLE "Not there yet" "The answer does not contain what you asked for yet. Please try again." .retry_after(1);
    STORAGE_UNAVAILABLE SERVICE_UNAVAILABLE "Storage unavailable" "Files cannot be stored or read just now. Please try again." .retry_after(5);
    PDF_NOT_READY SERVICE_UNAVAILABLE "PDF not ready" "The PDF is still being made. Please try again." .retry_after(3);
    SERVICE_UNAVAILABLE SERVICE_UNAVAILABLE "Service unavailable" "The service cannot answer just now. Please try again." .retry_after(2);
    GATEWAY_TIMEOUT GATEWAY_TIMEOUT "Timeout" "The answer took too long. Please try again.";

    LOGIN_BAD_CREDENTIALS BAD_REQUEST "Sign-in refused" "E-mail or password is wrong." .detail("LOGIN_BAD_CREDENTIALS");
    REGISTER_USER_ALREADY_EXISTS BAD_REQUEST "Already registered" "This e-mail address is already registered." .detail("REGISTER_USER_ALREADY_EXISTS");
    REGISTER_INVALID_PASSWORD BAD_REQUEST "Password refused" "This password cannot be used." .detail("REGISTER_INVALID_PASSWORD");
    RESET_PASSWORD_BAD_TOKEN BAD_REQUEST "Link not valid" "This link is no longer valid." .detail("RESET_PASSWORD_BAD_TOKEN");
    RESET_PASSWORD_INVALID_PASSWORD BAD_REQUEST "Password refused" "This password cannot be used." .detail("RESET_PASSWORD_INVALID_PASSWORD");
    VERIFY_USER_BAD_TOKEN BAD_REQUEST "Link not valid" "This link is no longer valid." .detail("VERIFY_USER_BAD_TOKEN");
    VERIFY_USER_ALREADY_VERIFIED BAD_REQUEST "Already verified" "This address is verified already." .detail("VERIFY_USER_ALREADY_VERIFIED");
    UPDATE_USER_EMAIL_ALREADY_EXISTS BAD_REQUEST "Already registered" "This e-mail address is already registered." .detail("UPDATE_USER_EMAIL_ALREADY_EXISTS");
    UPDATE_USER_INVALID_PASSWORD BAD_REQUEST "Password refused" "This password cannot be used." .detail("UPDATE_USER_INVALID_PASSWORD");
    CURRENT_PASSWORD_REQUIRED BAD_REQUEST "Current password required" "Please give your current password too." .detail("CURRENT_PASSWORD_REQUIRED");
    CURRENT_PASSWORD_WRONG BAD_REQUEST "Current password wrong" "The current password is wrong." .detail("CURRENT_PASSWORD_WRONG");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_there_once() {
        for (at, kind) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.code != kind.code), "{}", kind.code);
            assert!(kind.message.ends_with('.') && !kind.title.ends_with('.'), "{}", kind.code);
        }
    }

    #[test]
    fn an_unavailable_service_says_when_to_come_back() {
        for kind in ALL.iter().filter(|kind| kind.status == StatusCode::SERVICE_UNAVAILABLE) {
            assert!(kind.retry_after.is_some(), "{}", kind.code);
        }
    }
}
