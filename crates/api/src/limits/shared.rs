//! The logs of all instances together, in Redis: each a sorted set of events by time, asked and written in one script.

use std::sync::{LazyLock, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, Script};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Log, Verdict, tighter};

/// How long Redis may take. A slower one is no help.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes keys, and for each of them limit, window in µs and whether to count; first whether to count even if there is no
/// room, and the name of this event. Answers used events, and µs until the oldest expires, for each key.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local room = true
local answer = {}
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  local used = redis.call('ZCARD', key)
  local reset = window
  if used > 0 then
    reset = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) + window - now
  end
  if used >= limit then room = false end
  answer[2 * i - 1] = used
  answer[2 * i] = reset
end
if room or ARGV[1] == '1' then
  for i, key in ipairs(KEYS) do
    if ARGV[3 * i + 2] == '1' then
      redis.call('ZADD', key, now, ARGV[2])
      redis.call('PEXPIRE', key, math.ceil(tonumber(ARGV[3 * i + 1]) / 1000))
      if ARGV[1] == '1' then redis.call('ZREMRANGEBYRANK', key, 0, -1 - tonumber(ARGV[3 * i])) end
    end
  end
end
return answer",
    )
});

/// The text is not the address of a Redis server. The text is not repeated, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not the address of a redis server")]
pub struct InvalidAddress;

#[derive(Debug)]
pub(super) struct Shared {
    client: Client,
    prefix: String,
    /// There while Redis answers.
    connection: RwLock<Option<MultiplexedConnection>>,
    lost: Notify,
}

impl Shared {
    pub(super) fn new(address: &str, prefix: &str) -> Result<Self, InvalidAddress> {
        let client = Client::open(address).map_err(|_| InvalidAddress)?;
        Ok(Self { client, prefix: prefix.to_owned(), connection: RwLock::new(None), lost: Notify::new() })
    }

    /// Connects, and connects again whenever the connection was lost.
    pub(super) async fn run(&self, cancel: CancellationToken) {
        let mut was_up = true;
        while !cancel.is_cancelled() {
            let up = self.connect().await;
            match (was_up, up) {
                (true, false) => tracing::warn!("redis does not answer, limits count in each instance by itself"),
                (false, true) => tracing::info!("redis answers again, limits are shared"),
                (true, true) | (false, false) => (),
            }
            was_up = up;
            if up {
                tokio::select! { () = self.lost.notified() => (), () = cancel.cancelled() => () }
            } else {
                tokio::select! { () = tokio::time::sleep(PAUSE) => (), () = cancel.cancelled() => () }
            }
        }
    }

    async fn connect(&self) -> bool {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config);
        // The library's own time-outs leave out the resolution of the name and the greeting.
        let Ok(Ok(mut connection)) = tokio::time::timeout(ANSWER_WITHIN * 2, connected).await else { return false };
        if SCRIPT.prepare_invoke().load_async(&mut connection).await.is_err() {
            return false;
        }
        self.set(Some(connection));
        true
    }

    pub(super) async fn ping(&self) -> bool {
        let Some(mut connection) = self.get() else { return false };
        let answer: RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
        if answer.is_err() {
            self.lose();
        }
        answer.is_ok()
    }

    /// `None` if Redis did not answer.
    pub(super) async fn take(&self, logs: &[Log]) -> Option<Verdict> {
        let answer = self.invoke(logs, false).await?;
        let mut verdict = None;
        for (log, pair) in logs.iter().zip(answer.chunks_exact(2)) {
            let used = u32::try_from(pair[0]).unwrap_or(u32::MAX);
            let left = log.limit.saturating_sub(used);
            verdict = Some(tighter(
                verdict,
                Verdict {
                    allowed: left > 0,
                    limit: log.limit,
                    remaining: left.saturating_sub(u32::from(log.counts)),
                    reset: Duration::from_micros(u64::try_from(pair[1]).unwrap_or(0)),
                },
            ));
        }
        verdict
    }

    /// False if Redis did not answer.
    pub(super) async fn note(&self, logs: &[Log]) -> bool {
        self.invoke(logs, true).await.is_some()
    }

    async fn invoke(&self, logs: &[Log], even_if_full: bool) -> Option<Vec<i64>> {
        let mut connection = self.get()?;
        let mut script = SCRIPT.prepare_invoke();
        script.arg(u8::from(even_if_full)).arg(Uuid::new_v4().simple().to_string());
        for log in logs {
            let window = u64::try_from(log.window.as_micros()).unwrap_or(u64::MAX);
            script.key(format!("{}{}", self.prefix, log.key));
            script.arg(log.limit).arg(window).arg(u8::from(log.counts || even_if_full));
        }
        match script.invoke_async::<Vec<i64>>(&mut connection).await {
            Ok(answer) if answer.len() == 2 * logs.len() => Some(answer),
            Ok(_) | Err(_) => {
                self.lose();
                None
            }
        }
    }

    fn get(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.write().unwrap_or_else(std::sync::PoisonError::into_inner) = connection;
    }

    fn lose(&self) {
        self.set(None);
        self.lost.notify_one();
    }
}
