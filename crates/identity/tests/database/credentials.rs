use domain::{AccountId, Role};
use identity::{EMAIL_TAKEN_CONSTRAINT, RegisterError};

use crate::{HASH, Rig, at, rig};

async fn register(rig: &Rig, account: AccountId, email: &str) -> Result<(), RegisterError> {
    let mut transaction = rig.pool.begin().await.unwrap();
    rig.credentials.register(&mut transaction, account, email, HASH.to_owned(), at(0)).await?;
    transaction.commit().await.unwrap();
    Ok(())
}

#[tokio::test]
async fn an_account_is_found_by_its_address_in_any_case() {
    let rig = rig().await;
    let account = AccountId::generate();
    register(&rig, account, "Ana.Torres@example.com").await.unwrap();
    let found = rig.credentials.find_by_email(&rig.pool, "ana.torres@EXAMPLE.com").await.unwrap().unwrap();
    assert_eq!(found.account_id, account);
    assert_eq!(found.password_hash, HASH);
    assert_eq!((found.is_active, found.roles.as_slice()), (true, [Role::User].as_slice()));
    assert_eq!((found.created_at, found.changed_at), (at(0), at(0)));
    assert_eq!(rig.credentials.find(&rig.pool, account).await.unwrap(), Some(found));
    assert_eq!(rig.credentials.find_by_email(&rig.pool, "ana@example.com").await.unwrap(), None);
    assert_eq!(rig.credentials.find(&rig.pool, AccountId::generate()).await.unwrap(), None);
}

#[tokio::test]
async fn the_table_holds_no_address() {
    let rig = rig().await;
    register(&rig, AccountId::generate(), "ana.torres@example.com").await.unwrap();
    let row: String =
        sqlx::query_scalar("SELECT c::text || ' ' || encode(email_key, 'escape') FROM identity.credentials c")
            .fetch_one(&rig.pool)
            .await
            .unwrap();
    assert!(row.contains("argon2id"), "else this looks at nothing");
    for part in ["ana", "torres", "example"] {
        assert!(!row.to_lowercase().contains(part), "{part} is in {row}");
    }
}

#[tokio::test]
async fn an_address_belongs_to_one_account_in_whatever_case() {
    let rig = rig().await;
    let first = AccountId::generate();
    register(&rig, first, "ana@example.com").await.unwrap();
    let taken = register(&rig, AccountId::generate(), "ANA@example.com").await;
    assert!(matches!(taken, Err(RegisterError::EmailTaken)), "{taken:?}");
    // The same refusal, for those who look at the constraint themselves.
    let row = rig.credentials.prepare(AccountId::generate(), "Ana@example.com", HASH.to_owned(), at(1));
    let error = row.store(&rig.pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some(EMAIL_TAKEN_CONSTRAINT));
    // A violation of another constraint is not a taken address.
    let twice = register(&rig, first, "other@example.com").await;
    assert!(matches!(twice, Err(RegisterError::Storage(_))), "{twice:?}");
}

#[tokio::test]
async fn of_registrations_at_the_same_time_one_gets_the_address() {
    let rig = rig().await;
    let attempts = (0..8).map(|_| {
        let (pool, credentials) = (rig.pool.clone(), rig.credentials.clone());
        tokio::spawn(async move {
            let mut transaction = pool.begin().await.unwrap();
            let account = AccountId::generate();
            credentials.register(&mut transaction, account, "ana@example.com", HASH.to_owned(), at(0)).await?;
            transaction.commit().await.unwrap();
            Ok::<_, RegisterError>(account)
        })
    });
    let mut registered = vec![];
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(account) => registered.push(account),
            Err(RegisterError::EmailTaken) => (),
            Err(RegisterError::Storage(error)) => panic!("{error}"),
        }
    }
    let found = rig.credentials.find_by_email(&rig.pool, "ana@example.com").await.unwrap().unwrap();
    assert_eq!(registered, [found.account_id]);
}

#[tokio::test]
async fn a_registration_that_is_rolled_back_leaves_the_address_free() {
    let rig = rig().await;
    let mut transaction = rig.pool.begin().await.unwrap();
    let lost = AccountId::generate();
    rig.credentials.register(&mut transaction, lost, "ana@example.com", HASH.to_owned(), at(0)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(rig.credentials.find(&rig.pool, lost).await.unwrap(), None);
    register(&rig, AccountId::generate(), "ana@example.com").await.unwrap();
}

#[tokio::test]
async fn each_change_changes_what_it_says_and_the_time() {
    let rig = rig().await;
    let (account, stranger) = (rig.account().await, AccountId::generate());
    let (credentials, pool) = (&rig.credentials, &rig.pool);
    let other_hash = HASH.replace("c2Fsd", "c3Fsd");
    assert!(credentials.set_password(pool, account, &other_hash, at(1)).await.unwrap());
    assert!(credentials.set_email(pool, account, "new@example.com", at(2)).await.unwrap());
    assert!(credentials.set_roles(pool, account, &[Role::Admin, Role::Auditor], at(3)).await.unwrap());
    assert!(credentials.set_active(pool, account, false, at(4)).await.unwrap());
    let found = credentials.find_by_email(pool, "New@example.com").await.unwrap().unwrap();
    assert_eq!(found.account_id, account);
    assert_eq!(found.password_hash, other_hash);
    assert_eq!(found.roles, [Role::User, Role::Admin, Role::Auditor]);
    assert!(!found.is_active);
    assert_eq!((found.created_at, found.changed_at), (at(0), at(4)));

    assert!(!credentials.set_password(pool, stranger, HASH, at(5)).await.unwrap());
    assert!(!credentials.set_email(pool, stranger, "x@example.com", at(5)).await.unwrap());
    assert!(!credentials.set_roles(pool, stranger, &[], at(5)).await.unwrap());
    assert!(!credentials.set_active(pool, stranger, true, at(5)).await.unwrap());
    assert!(!credentials.remove(pool, stranger).await.unwrap());

    register(&rig, AccountId::generate(), "taken@example.com").await.unwrap();
    let taken = credentials.set_email(pool, account, "TAKEN@example.com", at(6)).await;
    assert!(matches!(taken, Err(RegisterError::EmailTaken)), "{taken:?}");
}

#[tokio::test]
async fn removed_credentials_free_the_address() {
    let rig = rig().await;
    let account = AccountId::generate();
    register(&rig, account, "ana@example.com").await.unwrap();
    assert!(rig.credentials.remove(&rig.pool, account).await.unwrap());
    register(&rig, AccountId::generate(), "ana@example.com").await.unwrap();
}

#[tokio::test]
async fn the_database_refuses_what_is_no_hash_and_the_server_may_not_empty_the_tables() {
    let rig = rig().await;
    let plain = rig.credentials.prepare(AccountId::generate(), "ana@example.com", "hunter42".to_owned(), at(0));
    let error = plain.store(&rig.pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("credentials_password_hash_argon2id"));
    for statement in ["TRUNCATE identity.sessions", "ALTER TABLE identity.credentials DROP COLUMN roles"] {
        let error = sqlx::query(statement).execute(&rig.pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{statement}");
    }
}

#[tokio::test]
async fn debug_output_shows_neither_hash_nor_address() {
    let rig = rig().await;
    let account = AccountId::generate();
    let row = rig.credentials.prepare(account, "ana@example.com", HASH.to_owned(), at(0));
    row.store(&rig.pool).await.unwrap();
    let found = rig.credentials.find(&rig.pool, account).await.unwrap().unwrap();
    let shown = format!("{row:?} {found:?} {:?}", rig.credentials);
    assert!(shown.contains(&account.to_string()));
    for secret in ["argon2id", "ana@", "email_key"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}
