//! What a member holds by its name: one meaning a name, wherever it stands.

use serde_json::{Value, json};

/// The schema of a member of that name; `None` for a name that nobody has described.
pub(super) fn of(name: &str) -> Option<Value> {
    Some(match name {
        "roomId" | "chatId" => json!({"$ref": "#/components/schemas/Room"}),
        "userId" | "senderId" | "editorId" | "ownerId" => json!({"$ref": "#/components/schemas/User"}),
        "error" => json!({"$ref": "#/components/schemas/AnyError"}),
        "id" | "messageId" => json!({"type": "string", "format": "uuid"}),
        "timestamp" | "createdAt" | "expiresAt" | "editedAt" | "deletedAt" | "deliveredAt"
        | "connectedAt" | "lastActivity" => json!({"type": "string", "format": "date-time"}),
        "since" | "readAt" | "lastSeen" | "lastMessageAt" => {
            json!({"type": ["string", "null"], "format": "date-time"})
        }
        "visibility" => words(&["public", "private"]),
        "class" => words(&["ephemeral", "reliable", "queued"]),
        "userType" => words(&["employee", "guest", "supervisor"]),
        "availability" => words(&["available", "unavailable"]),
        "conversationId" | "channelId" | "threadId" => json!({
            "type": "string",
            "description": "The room of this name behind conversation:, channel: or thread:.",
        }),
        "deliveryStatus" => words(&["streaming", "batch-delay", "delivered"]),
        "token" | "epoch" | "sessionId" | "clientId" | "cursor" | "next" | "type" | "status"
        | "statusText" | "reason" | "pattern" | "name" | "ip" | "userAgent" => json!({"type": "string"}),
        "flag" => json!({"type": ["string", "null"]}),
        "joined" | "recovered" | "ok" | "hasMore" | "isTyping" | "excludeSender" | "ackRequested"
        | "duplicate" | "forced" => {
            json!({"type": "boolean"})
        }
        "offset" | "before" | "after" | "upToOffset" | "readOffset" | "history" | "members"
        | "maxMembers" | "online" | "total" | "unread" | "messages" | "edits" | "deletes" | "kept"
        | "users" | "away" | "busy" | "offline" | "devices" | "tried" | "full" | "partial" | "refused"
        | "invalid" | "foreign" | "expired" | "sessions" | "parked" | "connections" | "authenticated"
        | "rooms" | "subscriptions" | "deliveries" | "uptimeMs" | "durationMs" | "reconnectMs" | "value" => {
            json!({"type": "integer", "minimum": 0})
        }
        "limit" => json!({"type": ["integer", "null"], "minimum": 0}),
        "perMinute" | "perSecond" => json!({"type": "number"}),
        "ratio" => json!({"type": ["number", "null"]}),
        "code" => json!({"type": ["string", "integer"]}),
        "content" => json!({"description": "Any JSON; carried byte for byte."}),
        "metadata" => {
            json!({"type": "object", "description": "The application's own; carried byte for byte."})
        }
        _ => return None,
    })
}

/// A text that is one of these.
pub(super) fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}
