//! The routes of djangorestframework-simplejwt: compared with the original, and checked for doorward's own
//! promises.

mod django;
mod original;
mod promises;

use doorward::config::SimplejwtRoutes;
use doorward_test::{Answer, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

const OBTAIN: &str = "/api/token/";
const REFRESH: &str = "/api/token/refresh/";
const BLACKLIST: &str = "/api/token/blacklist/";

async fn world(setting: SimplejwtRoutes) -> World {
    World::with(|settings| settings.simplejwt_routes = setting).await
}

/// The requests of a client that was written for simplejwt.
trait SimplejwtClient {
    async fn ask_simplejwt(&self, path: &str, body: Value) -> Answer;
    /// Starts a session. Returns `access` and `refresh`.
    async fn pair(&self, name: &str) -> (String, String);
    async fn renew(&self, refresh: &str) -> Answer;
    /// Returns the generation of the only refresh token.
    fn generation(&self) -> i64;
}

impl SimplejwtClient for World {
    async fn ask_simplejwt(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path).json(&body).send().await
    }

    async fn pair(&self, name: &str) -> (String, String) {
        let answer = self.ask_simplejwt(OBTAIN, json!({"username": name, "password": PASSWORD})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.text("access"), answer.text("refresh"))
    }

    async fn renew(&self, refresh: &str) -> Answer {
        self.ask_simplejwt(REFRESH, json!({"refresh": refresh})).await
    }

    fn generation(&self) -> i64 {
        self.count("SELECT generation::bigint AS count FROM refresh_tokens")
    }
}

trait SimplejwtAnswer {
    /// Checks for a refusal in simplejwt's form, which is a 401 with its challenge.
    #[track_caller]
    fn token_not_valid(&self, detail: &str);
}

impl SimplejwtAnswer for Answer {
    #[track_caller]
    fn token_not_valid(&self, detail: &str) {
        assert_eq!((self.status, &self.body), (401, &json!({"detail": detail, "code": "token_not_valid"})));
        assert_eq!(self.challenges(), ["Bearer realm=\"api\""]);
    }
}
