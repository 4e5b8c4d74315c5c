//! The shipped support desk: each of the twelve listeners of seed 003, from a domain event that a backend posts to what
//! comes of it at a real client, a real web server, a real stream, or in the log.

use std::path::Path;

use serde_json::{Value, json};

use super::Api;
use crate::support::backend::{Backend, Does};
use crate::support::{Redis, Server, SocketIo, TemporaryFile, Token, eventually};

/// The shipped configuration with the hosts of a test, and everything that it reaches.
struct Desk {
    server: Server,
    api: Api,
    services: Backend,
    redis: Redis,
    _secret: TemporaryFile,
}

fn desk(name: &str) -> Desk {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/examples/support.toml");
    let shipped = std::fs::read_to_string(shipped).expect("it is shipped");
    let (services, redis) = (Backend::that(Does::say(json!({}))), Redis::start());
    let secret = TemporaryFile::with(&format!("support-{name}.secret"), "a shared secret\n");
    let config = shipped
        .replace("http://localhost:9000", &format!("http://{}", services.address))
        .replace("redis://localhost:6379", &redis.url())
        .replace("support.secret", secret.path());
    let config = TemporaryFile::with(&format!("support-{name}.toml"), &config);
    let api = Api::new(&format!("support-{name}"));
    let server =
        Server::builder().shards(2).with(&["--config", config.path()]).with(&api.arguments()).start();
    Desk { server, api, services, redis, _secret: secret }
}

impl Desk {
    /// Something happens in the application.
    fn emit(&self, name: &str, data: &Value) {
        let response = self.api.post(&self.server, "/v1/events", &json!({"name": name, "data": data}));
        assert_eq!(response.status, 202, "{}", response.body);
    }

    /// The event of that name that a listener's service gets; it is signed.
    fn at_service(&self, listener: &str, name: &str) -> Value {
        let mut at = 0;
        loop {
            let request = self.services.request(at);
            if request.body["listener"] == listener {
                request.verify("a shared secret");
                let events = request.body["events"].as_array().expect("events");
                if let Some(event) = events.iter().find(|event| event["name"] == name) {
                    return event["data"].clone();
                }
            }
            at += 1;
        }
    }

    /// The log's line about what a listener heard.
    fn in_log(&self, listener: &str, name: &str) -> String {
        let parts = [format!("\"listener\":\"{listener}\""), format!("\"name\":\"{name}\"")];
        self.server.wait_for_log(|line| parts.iter().all(|part| line.contains(part)).then(|| line.to_owned()))
    }
}

/// An event's data: ids on top, what it is about beside them.
fn data(more: &Value) -> Value {
    let mut data = json!({"accountId": 7, "inboxId": 2, "conversationId": 3, "contactId": 4});
    let members = data.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    data
}

#[test]
fn action_cable_listener_tells_clients_at_once() {
    let desk = desk("cable");
    let token = Token::employee("ana").account("7");
    let mut agent = desk.server.connect().token(&token).query("profile", "support").open();
    agent.ping();
    agent.join("inbox:2");
    let mut customer = SocketIo::member(&desk.server, "eve", "conversation:3");
    let public = data(&json!({"message": {"content": "hello", "private": false}}));
    desk.emit("message.created", &public);
    assert_eq!(*agent.expect_event("message.created").data(), public);
    assert_eq!(customer.event("message.created").data[1], public);
    let private = data(&json!({"message": {"content": "a note", "private": true}}));
    desk.emit("message.created", &private);
    assert_eq!(*agent.expect_event("message.created").data(), private);
    for name in ["conversation.status_changed", "conversation.typing_on", "assignee.changed"] {
        desk.emit(name, &data(&json!({})));
        agent.expect_event(name);
        let next = customer.expect("the next of the application's", |message| message.data[0] == name);
        assert_eq!(next.data[1], data(&json!({})), "and no private note before it");
    }
    assert!(customer.arrived("message.created").is_empty(), "a note is for agents");
    for name in ["contact.updated", "agent.status_changed", "inbox.updated"] {
        desk.emit(name, &data(&json!({})));
        agent.expect_event(name);
    }
    desk.emit("notification.created", &data(&json!({"userId": "ana", "notification": {"id": 1}})));
    assert_eq!(agent.expect_event("notification.created").data()["notification"]["id"], 1);
}

#[test]
fn agent_bot_listener_posts_what_a_bot_answers() {
    let desk = desk("bot");
    desk.emit("message.created", &data(&json!({"n": 1})));
    desk.emit("message.created", &data(&json!({"n": 2, "inbox": {"agentBot": true}})));
    assert_eq!(
        desk.at_service("AgentBotListener", "message.created")["n"],
        2,
        "the inbox without a bot has none"
    );
}

#[test]
fn automation_rule_listener_does_not_answer_rules() {
    let desk = desk("rules");
    desk.emit("conversation.updated", &data(&json!({"n": 1, "performedBy": "automation"})));
    desk.emit("conversation.updated", &data(&json!({"n": 2, "performedBy": "agent"})));
    assert_eq!(desk.at_service("AutomationRuleListener", "conversation.updated")["n"], 2);
}

#[test]
fn campaign_listener_posts_campaigns() {
    let desk = desk("campaign");
    desk.emit("campaign.triggered", &data(&json!({"campaignId": 9})));
    assert_eq!(desk.at_service("CampaignListener", "campaign.triggered")["campaignId"], 9);
}

#[test]
fn csat_survey_listener_asks_where_surveys_are_on() {
    let desk = desk("csat");
    desk.emit("conversation.status_changed", &data(&json!({"n": 1, "csat": false})));
    desk.emit("conversation.status_changed", &data(&json!({"n": 2, "csat": true})));
    assert_eq!(desk.at_service("CsatSurveyListener", "conversation.status_changed")["n"], 2);
}

#[test]
fn hook_and_webhook_listeners_post_for_integrations_and_accounts() {
    let desk = desk("hooks");
    desk.emit("contact.created", &data(&json!({"contact": {"name": "Eve"}})));
    for listener in ["HookListener", "WebhookListener"] {
        assert_eq!(desk.at_service(listener, "contact.created")["contact"]["name"], "Eve");
    }
    desk.emit("message.created", &data(&json!({"n": 1, "message": {"private": true}})));
    desk.emit("message.created", &data(&json!({"n": 2, "message": {"private": false}})));
    assert_eq!(desk.at_service("WebhookListener", "message.created")["n"], 2, "private notes stay here");
}

#[test]
fn installation_webhook_listener_posts_accounts() {
    let desk = desk("installation");
    desk.emit("account.created", &json!({"accountId": 8}));
    assert_eq!(desk.at_service("InstallationWebhookListener", "account.created")["accountId"], 8);
}

#[test]
fn notification_listener_posts_what_may_be_notified_of() {
    let desk = desk("notification");
    desk.emit("conversation.created", &data(&json!({"n": 1, "conversation": {"status": "pending"}})));
    desk.emit("conversation.created", &data(&json!({"n": 2, "conversation": {"status": "open"}})));
    assert_eq!(desk.at_service("NotificationListener", "conversation.created")["n"], 2);
}

#[test]
fn participation_listener_tells_whoever_is_assigned() {
    let desk = desk("participation");
    let mut ana = desk.server.employee("ana");
    ana.ping();
    desk.emit("assignee.changed", &data(&json!({"assigneeId": "ana"})));
    let told = ana.expect_event("participation.created");
    assert_eq!(*told.data(), json!({"conversationId": 3, "userId": "ana"}));
}

#[test]
fn reporting_event_listener_keeps_a_stream_of_each_account() {
    let desk = desk("reporting");
    desk.emit("conversation.resolved", &data(&json!({"seconds": 90})));
    eventually("the report is in the stream", || {
        let entries = desk.redis.command(&["XRANGE", "reporting:7", "-", "+"]);
        (entries.contains("conversation.resolved") && entries.contains("\"seconds\":90")).then_some(())
    });
}

#[test]
fn base_listener_writes_down_what_happens() {
    let desk = desk("base");
    desk.emit("team.changed", &data(&json!({"teamId": 5})));
    assert!(desk.in_log("BaseListener", "team.changed").contains("teamId"));
    let _ana = desk.server.employee("ana");
    desk.in_log("BaseListener", "gateway.user.online");
}
