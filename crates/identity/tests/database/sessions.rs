use std::time::{Duration, Instant};

use domain::{AccountId, Role, SessionId};
use identity::{AuthFailure, Bearer, Caller, Client, Lifetimes, Secrets, Sessions};

use crate::{DAY, Rig, at, client, pool, rig};

/// The kind of refusal, which can be compared.
fn refusal(result: Result<Caller, AuthFailure>) -> &'static str {
    match result {
        Ok(_) => "none",
        Err(AuthFailure::Malformed) => "malformed",
        Err(AuthFailure::Unknown) => "unknown",
        Err(AuthFailure::Expired) => "expired",
        Err(AuthFailure::Revoked) => "revoked",
        Err(AuthFailure::Storage(error)) => panic!("{error}"),
    }
}

async fn end(rig: &Rig, account: AccountId, session: SessionId, seconds: i64) -> bool {
    rig.sessions.end(&rig.pool, account, session, at(seconds)).await.unwrap()
}

#[tokio::test]
async fn a_session_has_two_carriers_that_name_the_same_caller() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    assert_eq!(session.expires_in, 86_400);
    assert_ne!(session.access_token, session.cookie_value);
    let expected = Caller { account_id: account, session_id: session.id, roles: vec![Role::User] };
    assert_eq!(rig.sessions.authenticate_bearer(&session.access_token, at(1)).await.unwrap(), expected);
    assert_eq!(rig.sessions.authenticate_cookie(&session.cookie_value, at(1)).await.unwrap(), expected);
    assert_eq!(
        rig.other_instance().authenticate_bearer(&session.access_token, at(1)).await.unwrap(),
        expected,
        "any instance with the same secrets knows it"
    );
}

#[tokio::test]
async fn neither_carrier_is_taken_for_the_other() {
    let rig = rig().await;
    let session = rig.sessions.start(&rig.pool, rig.account().await, &client(), at(0)).await.unwrap();
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.cookie_value, at(1)).await), "malformed");
    assert_eq!(refusal(rig.sessions.authenticate_cookie(&session.access_token, at(1)).await), "malformed");
}

#[tokio::test]
async fn the_table_and_debug_output_hold_no_carrier_and_nothing_personal() {
    let rig = rig().await;
    let account = rig.account().await;
    let prepared = rig.sessions.prepare(account, &client(), at(0));
    prepared.store(&rig.pool).await.unwrap();
    let session = prepared.session.clone();
    let row: String = sqlx::query_scalar(
        "SELECT s::text || ' ' || encode(token_hash, 'escape') || ' ' || encode(seen, 'escape') FROM identity.sessions s",
    )
    .fetch_one(&rig.pool)
    .await
    .unwrap();
    assert!(row.contains(&session.id.to_string()), "else this looks at nothing");
    let shown = format!("{prepared:?} {session:?} {:?} {:?}", rig.sessions, client());
    for secret in [&session.access_token, &session.cookie_value, "192.0.2.7", "Firefox"] {
        assert!(!row.contains(secret) && !shown.contains(secret), "{secret}");
    }
    let listed = rig.sessions.live(&rig.pool, account, at(0)).await.unwrap();
    assert_eq!(listed[0].client, client(), "and still it is known");
}

#[tokio::test]
async fn a_session_that_is_rolled_back_never_was() {
    let rig = rig().await;
    let account = rig.account().await;
    let mut transaction = rig.pool.begin().await.unwrap();
    let session = rig.sessions.start(&mut *transaction, account, &client(), at(0)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(1)).await), "unknown");
    assert_eq!(refusal(rig.sessions.authenticate_cookie(&session.cookie_value, at(1)).await), "unknown");
}

#[tokio::test]
async fn an_account_without_credentials_gets_no_session() {
    let rig = rig().await;
    let error = rig.sessions.start(&rig.pool, AccountId::generate(), &client(), at(0)).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("sessions_account"));
}

#[tokio::test]
async fn both_carriers_work_for_a_day_to_the_second() {
    let rig = rig().await;
    let session = rig.sessions.start(&rig.pool, rig.account().await, &client(), at(0)).await.unwrap();
    for (seconds, expected) in [(DAY - 1, "none"), (DAY, "expired"), (DAY - 1, "none"), (40 * DAY, "expired")] {
        let bearer = rig.sessions.authenticate_bearer(&session.access_token, at(seconds)).await;
        let cookie = rig.sessions.authenticate_cookie(&session.cookie_value, at(seconds)).await;
        assert_eq!((refusal(bearer), refusal(cookie)), (expected, expected), "after {seconds} s");
    }
}

#[tokio::test]
async fn extending_replaces_the_cookie_and_leaves_the_old_token_its_time() {
    let rig = rig().await;
    let first = rig.sessions.start(&rig.pool, rig.account().await, &client(), at(0)).await.unwrap();
    let caller = rig.sessions.authenticate_cookie(&first.cookie_value, at(1)).await.unwrap();
    let mut connection = rig.pool.acquire().await.unwrap();
    let second = rig.sessions.extend(&mut connection, &caller, at(DAY / 2)).await.unwrap().unwrap();
    assert_eq!((second.id, second.expires_in), (first.id, 86_400));
    assert_ne!(second.cookie_value, first.cookie_value);
    let sessions = &rig.sessions;
    assert_eq!(refusal(sessions.authenticate_cookie(&first.cookie_value, at(DAY / 2)).await), "unknown");
    assert_eq!(refusal(sessions.authenticate_cookie(&second.cookie_value, at(DAY)).await), "none");
    assert_eq!(refusal(sessions.authenticate_bearer(&first.access_token, at(DAY - 1)).await), "none");
    assert_eq!(refusal(sessions.authenticate_bearer(&first.access_token, at(DAY)).await), "expired");
    assert_eq!(refusal(sessions.authenticate_bearer(&second.access_token, at(DAY)).await), "none");
}

#[tokio::test]
async fn a_session_ends_after_thirty_days_however_often_it_is_extended() {
    let rig = rig().await;
    let mut session = rig.sessions.start(&rig.pool, rig.account().await, &client(), at(0)).await.unwrap();
    let caller = rig.sessions.authenticate_bearer(&session.access_token, at(0)).await.unwrap();
    let mut connection = rig.pool.acquire().await.unwrap();
    for half_day in 1..60 {
        let now = at(half_day * DAY / 2);
        session = rig.sessions.extend(&mut connection, &caller, now).await.unwrap().unwrap();
    }
    assert_eq!(session.expires_in, 43_200);
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(30 * DAY - 1)).await), "none");
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(30 * DAY)).await), "expired");
    assert_eq!(refusal(rig.sessions.authenticate_cookie(&session.cookie_value, at(30 * DAY)).await), "expired");
    assert_eq!(rig.sessions.extend(&mut connection, &caller, at(30 * DAY)).await.unwrap(), None);
}

#[tokio::test]
async fn an_ended_session_is_not_extended() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    let caller = rig.sessions.authenticate_bearer(&session.access_token, at(0)).await.unwrap();
    assert!(end(&rig, account, session.id, 1).await);
    let mut connection = rig.pool.acquire().await.unwrap();
    assert_eq!(rig.sessions.extend(&mut connection, &caller, at(2)).await.unwrap(), None);
}

#[tokio::test]
async fn an_end_holds_at_once_on_this_instance_and_within_a_second_on_others() {
    let rig = rig().await;
    let account = rig.account().await;
    let other = rig.other_instance();
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    for instance in [&rig.sessions, &other] {
        assert_eq!(refusal(instance.authenticate_bearer(&session.access_token, at(1)).await), "none");
        assert_eq!(refusal(instance.authenticate_cookie(&session.cookie_value, at(1)).await), "none");
    }
    assert!(end(&rig, account, session.id, 2).await);
    let ended = Instant::now();
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(3)).await), "revoked");
    assert_eq!(refusal(rig.sessions.authenticate_cookie(&session.cookie_value, at(3)).await), "revoked");

    // The other instance may know the session as alive, but nothing it answers a second later says so.
    testkit::wait_until(Duration::from_secs(10), async || (ended.elapsed() >= Duration::from_secs(1)).then_some(()))
        .await;
    assert_eq!(refusal(other.authenticate_bearer(&session.access_token, at(3)).await), "revoked");
    assert_eq!(refusal(other.authenticate_cookie(&session.cookie_value, at(3)).await), "revoked");
}

#[tokio::test]
async fn an_end_holds_when_its_transaction_commits_and_not_before() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    let authenticate = async || refusal(rig.sessions.authenticate_bearer(&session.access_token, at(1)).await);
    for commit in [false, true] {
        assert_eq!(authenticate().await, "none");
        let mut transaction = rig.pool.begin().await.unwrap();
        assert!(rig.sessions.end(&mut *transaction, account, session.id, at(1)).await.unwrap());
        assert_eq!(authenticate().await, "none", "a session that was read again before the commit is not kept");
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(authenticate().await, if commit { "revoked" } else { "none" });
    }
}

#[tokio::test]
async fn requests_in_a_burst_ask_the_database_once() {
    let rig = rig().await;
    let narrow = pool(&rig.database, 1).await;
    let sessions = Sessions::new(narrow.clone(), &crate::secrets(), Lifetimes::default());
    let session = sessions.start(&narrow, rig.account().await, &client(), at(0)).await.unwrap();
    // With the only connection taken, the second request is answered from memory or not at all. A machine that stops
    // for most of a second between the two gets another chance.
    for attempt in 1.. {
        assert!(attempt <= 5, "not once from memory");
        sessions.authenticate_bearer(&session.access_token, at(1)).await.unwrap();
        let connection = narrow.acquire().await.unwrap();
        let second = sessions.authenticate_bearer(&session.access_token, at(1));
        if tokio::time::timeout(Duration::from_millis(500), second).await.is_ok_and(|caller| caller.is_ok()) {
            break;
        }
        drop(connection);
    }
}

#[tokio::test]
async fn ending_tells_once_that_the_session_was_alive() {
    let rig = rig().await;
    let (account, other) = (rig.account().await, rig.account().await);
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    assert!(!end(&rig, other, session.id, 1).await, "somebody else's session looks like none");
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(1)).await), "none");
    let alive = async |seconds| rig.sessions.is_alive(&rig.pool, account, session.id, at(seconds)).await.unwrap();
    assert!(alive(1).await && !alive(DAY).await);
    assert!(!rig.sessions.is_alive(&rig.pool, other, session.id, at(1)).await.unwrap());
    assert!(end(&rig, account, session.id, 2).await);
    assert!(!alive(2).await);
    assert!(!end(&rig, account, session.id, 3).await);
    assert!(!end(&rig, account, SessionId::generate(), 3).await);
    let expired = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    assert!(!end(&rig, account, expired.id, DAY).await);
}

#[tokio::test]
async fn an_expired_or_revoked_token_still_names_its_session_for_signing_out() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(-10 * DAY)).await.unwrap();
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&session.access_token, at(0)).await), "expired");
    assert_eq!(
        rig.sessions.read_bearer(&session.access_token),
        Some(Bearer { account_id: account, session_id: session.id })
    );
    assert_eq!(rig.sessions.read_bearer("a.b.c"), None);
}

#[tokio::test]
async fn all_sessions_of_one_account_are_revoked_but_the_one_that_asked() {
    let rig = rig().await;
    let (account, other) = (rig.account().await, rig.account().await);
    let start = async |account, seconds| rig.sessions.start(&rig.pool, account, &client(), at(seconds)).await.unwrap();
    let (expired, first, second) = (start(account, -2 * DAY).await, start(account, 0).await, start(account, 1).await);
    let (current, foreign) = (start(account, 2).await, start(other, 3).await);
    let authenticate = async |token: &str| refusal(rig.sessions.authenticate_bearer(token, at(10)).await);
    for session in [&first, &second, &current, &foreign] {
        assert_eq!(authenticate(&session.access_token).await, "none");
    }
    let mut ended = rig.sessions.revoke_all(&rig.pool, account, Some(current.id), at(9)).await.unwrap();
    ended.sort();
    let mut expected = [first.id, second.id];
    expected.sort();
    assert_eq!(ended, expected, "the expired one was not alive");
    for (session, expected) in
        [(&first, "revoked"), (&second, "revoked"), (&current, "none"), (&foreign, "none"), (&expired, "expired")]
    {
        assert_eq!(authenticate(&session.access_token).await, expected);
    }
    assert_eq!(rig.sessions.revoke_all(&rig.pool, account, None, at(9)).await.unwrap(), [current.id]);
    assert_eq!(authenticate(&current.access_token).await, "revoked");
    assert_eq!(authenticate(&foreign.access_token).await, "none");
}

#[tokio::test]
async fn a_deactivated_account_has_no_session_and_new_roles_hold_at_once() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    let authenticate = async || rig.sessions.authenticate_bearer(&session.access_token, at(1)).await;
    assert_eq!(authenticate().await.unwrap().roles, [Role::User]);
    rig.sessions.recheck_account(account);
    rig.credentials.set_roles(&rig.pool, account, &[Role::Auditor], at(1)).await.unwrap();
    assert_eq!(authenticate().await.unwrap().roles, [Role::User, Role::Auditor]);
    rig.credentials.set_active(&rig.pool, account, false, at(1)).await.unwrap();
    assert_eq!(refusal(authenticate().await), "revoked");
    rig.credentials.set_active(&rig.pool, account, true, at(1)).await.unwrap();
    assert_eq!(refusal(authenticate().await), "none");
    rig.credentials.remove(&rig.pool, account).await.unwrap();
    assert_eq!(refusal(authenticate().await), "unknown");
}

#[tokio::test]
async fn the_owner_sees_live_sessions_newest_first() {
    let rig = rig().await;
    let (account, other) = (rig.account().await, rig.account().await);
    let start = async |account, seconds| rig.sessions.start(&rig.pool, account, &client(), at(seconds)).await.unwrap();
    let (_expired, first, ended, second) =
        (start(account, -2 * DAY).await, start(account, 0).await, start(account, 1).await, start(account, 2).await);
    start(other, 3).await;
    assert!(end(&rig, account, ended.id, 4).await);
    let live = rig.sessions.live(&rig.pool, account, at(5)).await.unwrap();
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!(live[0].created_at, at(2));
    assert_eq!(live[0].expires_at, at(2 + 30 * DAY));
    assert_eq!(live[0].client, client());
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_and_not_by_the_request() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    let last_seen = async || rig.sessions.live(&rig.pool, account, at(100)).await.unwrap()[0].last_seen_at;
    for (used, written) in [(59, 0), (60, 60), (61, 60), (119, 60), (121, 121), (90, 121)] {
        rig.sessions.authenticate_bearer(&session.access_token, at(used)).await.unwrap();
        rig.sessions.write_last_seen().await.unwrap();
        assert_eq!(last_seen().await, at(written), "used after {used} s");
    }
    // By itself, too.
    rig.sessions.authenticate_cookie(&session.cookie_value, at(300)).await.unwrap();
    testkit::wait_until(Duration::from_secs(10), async || (last_seen().await == at(300)).then_some(())).await;
}

#[tokio::test]
async fn of_two_instances_one_writes_the_same_minute() {
    let rig = rig().await;
    let account = rig.account().await;
    let other = rig.other_instance();
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    // Both have read the row before either writes.
    rig.sessions.authenticate_bearer(&session.access_token, at(1)).await.unwrap();
    other.authenticate_bearer(&session.access_token, at(1)).await.unwrap();
    rig.sessions.authenticate_bearer(&session.access_token, at(70)).await.unwrap();
    rig.sessions.write_last_seen().await.unwrap();
    other.authenticate_bearer(&session.access_token, at(80)).await.unwrap();
    other.write_last_seen().await.unwrap();
    assert_eq!(rig.sessions.live(&rig.pool, account, at(90)).await.unwrap()[0].last_seen_at, at(70));
}

#[tokio::test]
async fn other_secrets_know_no_token_of_ours_and_open_nothing() {
    let rig = rig().await;
    let account = rig.account().await;
    let session = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    let stranger = Sessions::new(rig.pool.clone(), &Secrets::derive(&[8; 32]), Lifetimes::default());
    assert_eq!(refusal(stranger.authenticate_bearer(&session.access_token, at(1)).await), "malformed");
    assert_eq!(stranger.live(&rig.pool, account, at(1)).await.unwrap()[0].client, Client::default());
}

#[tokio::test]
async fn nonsense_is_refused_without_the_database() {
    let rig = rig().await;
    rig.pool.close().await;
    let long = "A".repeat(100_000);
    for text in ["", "x", "ü", "\0", "h2o_session", &"A".repeat(42), &"A".repeat(44), &"+".repeat(43), &long] {
        assert_eq!(refusal(rig.sessions.authenticate_cookie(text, at(0)).await), "malformed", "cookie");
        assert_eq!(refusal(rig.sessions.authenticate_bearer(text, at(0)).await), "malformed", "bearer");
    }
    // Without the database nothing is known of a session, which is neither an unknown one nor a live one.
    let random = "A".repeat(43);
    assert!(matches!(rig.sessions.authenticate_cookie(&random, at(0)).await, Err(AuthFailure::Storage(_))));
}

#[tokio::test]
async fn sessions_that_ended_long_ago_are_deleted_and_no_others() {
    let rig = rig().await;
    let account = rig.account().await;
    let old = rig.sessions.start(&rig.pool, account, &client(), at(-100 * DAY)).await.unwrap();
    let recent = rig.sessions.start(&rig.pool, account, &client(), at(-10 * DAY)).await.unwrap();
    let live = rig.sessions.start(&rig.pool, account, &client(), at(0)).await.unwrap();
    assert_eq!(rig.sessions.delete_ended(&rig.pool, at(-30 * DAY)).await.unwrap(), 1);
    let left: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM identity.sessions ORDER BY created_at").fetch_all(&rig.pool).await.unwrap();
    assert_eq!(left, [recent.id.as_uuid(), live.id.as_uuid()]);
    assert_eq!(refusal(rig.sessions.authenticate_bearer(&old.access_token, at(-100 * DAY)).await), "unknown");
}
