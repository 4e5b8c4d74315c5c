//! What the server API offers, as data: routes, and what the OpenAPI description says of them, are made from it.

use serde::{Deserialize, Serialize};

/// A route's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Route {
    Publish,
    Batch,
    PublishToUser,
    History,
    CreateRoom,
    RoomInfo,
    CloseRoom,
    Members,
    Subscribe,
    Unsubscribe,
    Presence,
    PresenceOfMany,
    DisconnectUser,
    BlockUser,
    UnblockUser,
    RevokeToken,
    RestoreToken,
    Connections,
    DisconnectConnection,
    Event,
    DeadLetters,
    RetryDeadLetter,
    Stats,
    Node,
    Cluster,
    OpenApi,
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) route: Route,
    pub(super) method: &'static str,
    /// With its parameters in braces.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// What is worth knowing besides.
    pub(super) description: &'static str,
    pub(super) query: &'static [Param],
    /// The schema of the request's body, if it has one.
    pub(super) body: Option<&'static str>,
    /// The status and schema of success.
    pub(super) ok: (u16, &'static str),
    /// Statuses of failure beside those that any route may give.
    pub(super) errors: &'static [u16],
}

impl Endpoint {
    /// Whether anybody may ask: the description is no secret.
    pub(super) fn is_open(&self) -> bool {
        self.route == Route::OpenApi
    }
}

/// A parameter of the query.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// Of JSON Schema.
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
}

const fn param(name: &'static str, kind: &'static str, description: &'static str) -> Param {
    Param { name, kind, description }
}

const fn endpoint(
    route: Route,
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: Option<&'static str>,
    ok: (u16, &'static str),
) -> Endpoint {
    Endpoint { route, method, path, summary, description: "", query: &[], body, ok, errors: &[] }
}

/// Statuses that any route with credentials may answer with.
pub(super) const COMMON_ERRORS: &[u16] = &[400, 401, 403, 429, 503];
/// Statuses that any route with a body may answer with.
pub(super) const BODY_ERRORS: &[u16] = &[408, 413];

const PAGE: [Param; 2] = [
    param("limit", "integer", "Entries of the page, from 1 to 1000; 100 by default."),
    param("cursor", "string", "The `next` of the page before."),
];

/// Every endpoint; the busiest first.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        description: "A message has an offset, is kept in the room's history and given to those who were away. With \
                      `event` it is a push instead: told to the members who are connected now, under that name, and \
                      kept nowhere. The header `Idempotency-Key` stands for `clientId`: a repeat within \
                      --dedup-window is answered with the first's id and `duplicate: true`, and not published again.",
        ..endpoint(
            Route::Publish,
            "POST",
            "/v1/rooms/{roomId}/messages",
            "Publish to a room",
            Some("Publish"),
            (200, "Published"),
        )
    },
    Endpoint {
        description: "Up to 1000 messages, each for a room (`roomId`) or a user (`userId`). Each has its own result; \
                      those of one room keep their order.",
        ..endpoint(
            Route::Batch,
            "POST",
            "/v1/batch",
            "Publish many messages",
            Some("Batch"),
            (200, "BatchResult"),
        )
    },
    Endpoint {
        description: "Into the user's own room `user:{userId}`, to every connection of the user; what is not received \
                      waits for it up to --queue-ttl. Otherwise as publishing to a room.",
        ..endpoint(
            Route::PublishToUser,
            "POST",
            "/v1/users/{userId}/messages",
            "Publish to a user",
            Some("Publish"),
            (200, "Published"),
        )
    },
    Endpoint {
        query: &[
            param("before", "integer", "Only messages before this offset."),
            param("after", "integer", "Only messages behind this offset, oldest first."),
            param("limit", "integer", "Messages of the page, from 1 to 1000; 50 by default."),
        ],
        errors: &[404],
        ..endpoint(
            Route::History,
            "GET",
            "/v1/rooms/{roomId}/messages",
            "Page through a room's messages",
            None,
            (200, "History"),
        )
    },
    Endpoint {
        description: "The room is there until it is closed; nobody enters it by that. Without `roomId` it gets a name.",
        errors: &[409],
        ..endpoint(
            Route::CreateRoom,
            "POST",
            "/v1/rooms",
            "Create a room",
            Some("RoomCreation"),
            (201, "Room"),
        )
    },
    Endpoint {
        errors: &[404],
        ..endpoint(Route::RoomInfo, "GET", "/v1/rooms/{roomId}", "Describe a room", None, (200, "RoomInfo"))
    },
    Endpoint {
        description: "Everybody is out of the room when this is answered.",
        errors: &[404],
        ..endpoint(Route::CloseRoom, "DELETE", "/v1/rooms/{roomId}", "Close a room", None, (200, "RoomName"))
    },
    Endpoint {
        query: &PAGE,
        ..endpoint(
            Route::Members,
            "GET",
            "/v1/rooms/{roomId}/members",
            "Page through a room's users",
            None,
            (200, "Members"),
        )
    },
    Endpoint {
        description: "Each connection that the user has now enters the room, and its client gets a `room:joined` push. \
                      Of a user without a connection nothing is remembered: `connections` is 0.",
        ..endpoint(
            Route::Subscribe,
            "PUT",
            "/v1/rooms/{roomId}/members/{userId}",
            "Put a user into a room",
            None,
            (200, "Affected"),
        )
    },
    Endpoint {
        description: "Each connection of the user leaves the room, and its client gets a `room:left` push.",
        ..endpoint(
            Route::Unsubscribe,
            "DELETE",
            "/v1/rooms/{roomId}/members/{userId}",
            "Take a user out of a room",
            None,
            (200, "Affected"),
        )
    },
    endpoint(
        Route::Presence,
        "GET",
        "/v1/users/{userId}/presence",
        "Tell a user's presence",
        None,
        (200, "Presence"),
    ),
    endpoint(
        Route::PresenceOfMany,
        "POST",
        "/v1/presence",
        "Tell the presence of up to 1000 users",
        Some("PresenceQuery"),
        (200, "PresenceList"),
    ),
    endpoint(
        Route::DisconnectUser,
        "POST",
        "/v1/users/{userId}/disconnect",
        "Close a user's connections",
        Some("Disconnect"),
        (200, "Affected"),
    ),
    Endpoint {
        description: "The user's connections are closed with 4401, and tokens of the user are refused until then, by all \
                      nodes.",
        errors: &[409],
        ..endpoint(
            Route::BlockUser,
            "PUT",
            "/v1/users/{userId}/block",
            "Block a user",
            Some("Until"),
            (200, "Revoked"),
        )
    },
    endpoint(
        Route::UnblockUser,
        "DELETE",
        "/v1/users/{userId}/block",
        "Block a user no longer",
        None,
        (200, "Affected"),
    ),
    Endpoint {
        description: "The token with this `jti` is refused until then, and connections that it opened are closed with \
                      4401, by all nodes.",
        errors: &[409],
        ..endpoint(
            Route::RevokeToken,
            "PUT",
            "/v1/tokens/{tokenId}/revocation",
            "Revoke a token",
            Some("Until"),
            (200, "Revoked"),
        )
    },
    endpoint(
        Route::RestoreToken,
        "DELETE",
        "/v1/tokens/{tokenId}/revocation",
        "Revoke a token no longer",
        None,
        (200, "Affected"),
    ),
    Endpoint {
        description: "Of all nodes, one after the other. A page may hold fewer than `limit`, or none, and have a `next` \
                      all the same: only the last page has none.",
        query: &[
            param("userId", "string", "Only this user's."),
            param("roomId", "string", "Only those in this room."),
            param("profile", "string", "Only those of this profile."),
            param("dialect", "string", "Only those that speak this dialect: event, topic or socketio."),
            param("ip", "string", "Only those from this address."),
            param("limit", "integer", "Connections of the page, from 1 to 1000; 100 by default."),
            param("cursor", "string", "The `next` of the page before."),
        ],
        ..endpoint(
            Route::Connections,
            "GET",
            "/v1/connections",
            "List connections",
            None,
            (200, "Connections"),
        )
    },
    Endpoint {
        errors: &[404],
        ..endpoint(
            Route::DisconnectConnection,
            "POST",
            "/v1/connections/{connectionId}/disconnect",
            "Close a connection",
            Some("Disconnect"),
            (200, "Affected"),
        )
    },
    Endpoint {
        description: "Goes to the listeners that the configuration names. Once it is answered they have it, as far as the store promises; after a 503 it may be handed in again with the same id.",
        ..endpoint(
            Route::Event,
            "POST",
            "/v1/events",
            "Hand in a domain event",
            Some("Event"),
            (202, "Accepted"),
        )
    },
    Endpoint {
        description: "Oldest first; `next` is the `after` of the next page.",
        query: &[
            param("after", "integer", "Only those behind the one of this number."),
            param("limit", "integer", "Dead letters of the page, from 1 to 1000; 100 by default."),
        ],
        ..endpoint(
            Route::DeadLetters,
            "GET",
            "/v1/dead-letters",
            "List events that could not be delivered",
            None,
            (200, "DeadLetters"),
        )
    },
    Endpoint {
        errors: &[404],
        ..endpoint(
            Route::RetryDeadLetter,
            "POST",
            "/v1/dead-letters/{number}/retry",
            "Have another try at one",
            None,
            (200, "Retried"),
        )
    },
    endpoint(
        Route::Stats,
        "GET",
        "/v1/stats",
        "Count what the node that is asked does",
        None,
        (200, "Stats"),
    ),
    endpoint(Route::Node, "GET", "/v1/node", "Describe the node that is asked", None, (200, "Node")),
    endpoint(Route::Cluster, "GET", "/v1/cluster", "Describe all nodes", None, (200, "Cluster")),
    Endpoint {
        description: "Needs no credentials.",
        ..endpoint(
            Route::OpenApi,
            "GET",
            "/v1/openapi.json",
            "Describe this API (OpenAPI 3.1)",
            None,
            (200, "Description"),
        )
    },
];
