//! The routes of `anchor`, where business servers call and wallets say where they want to hear of a customer.

use serde_json::{Value, json};
use shared::customer::TransactionStatus;
use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

/// Adds the routes.
pub(super) struct Anchors;

/// The routes that are another function's than this one's.
pub const PATHS: [&str; 3] = [
    "/v1/tenants/{tenant}/anchor/rpc",
    "/v1/tenants/{tenant}/anchor/transactions/{id}",
    "/v1/tenants/{tenant}/anchor/customer/callback",
];

impl Modify for Anchors {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in PATHS.into_iter().zip([rpc(), transactions(), callback()]) {
            let item: PathItem = serde_json::from_value(item)
                .expect("the literals are path items, and a test reads them");
            document.paths.paths.insert(path.to_owned(), item);
        }
    }
}

fn call() -> Value {
    json!({
        "type": "object",
        "title": "A call",
        "required": ["jsonrpc", "id", "method", "params"],
        "properties": {
            "jsonrpc": {"type": "string", "const": "2.0"},
            "id": {"type": ["string", "number"], "description": "Tells answers apart, and nothing else."},
            "method": {"type": "string", "const": "notify_customer_info_updated"},
            "params": {
                "type": "object",
                "required": ["transaction_id"],
                "properties": {
                    "transaction_id": {"type": "string"},
                    "customer_id": {
                        "type": ["string", "null"],
                        "description": "Whose status is fetched from the business server. Without it the transaction goes on as if the customer were being looked at, and nobody is told of a customer.",
                    },
                    "customer_type": {"type": ["string", "null"], "description": "SEP-12 `type`, such as `sep6`."},
                    "message": {
                        "type": ["string", "null"],
                        "maxLength": 4000,
                        "description": "What the user is told. Where the transaction fails it defaults to the customer's own, and is required if there is none.",
                    },
                },
            },
        },
    })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "title": "An answer",
        "required": ["jsonrpc"],
        "properties": {
            "jsonrpc": {"type": "string", "const": "2.0"},
            "id": {"type": ["string", "number"]},
            "result": transaction(),
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "id": {"type": "string", "description": "The transaction."},
                    "code": {"type": "integer", "enum": [-32600, -32601, -32602, -32603]},
                    "message": {"type": "string"},
                },
            },
        },
    })
}

fn rpc() -> Value {
    json!({"post": {
        "operationId": "call_anchor",
        "tags": ["anchor"],
        "summary": "JSON-RPC 2.0 as the Anchor Platform speaks it: a customer's information was updated.",
        "description": "Calls are made one after the other, at most 40, within 25 s. A result means that the wallet will be told, an error that nobody is told of anything. A call that was made before answers a result and changes nothing. Takes an API key as bearer or in `X-Api-Key`, or a bearer token (HS256) signed with the anchor's `rpc_secret`. Behind function URLs this is the URL of `anchor`.",
        "security": [{"key": []}],
        "parameters": [{"name": "tenant", "in": "path", "required": true, "schema": {"type": "string"}}],
        "requestBody": {
            "required": true,
            "description": "Calls in an array, or one call, which is answered alone; at most 256 KiB.",
            "content": {"application/json": {
                "schema": {"oneOf": [{"type": "array", "maxItems": 40, "items": call()}, call()]},
                "example": [{
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "notify_customer_info_updated",
                    "params": {"transaction_id": "tx-1", "customer_id": "cus_1", "customer_type": "sep6"},
                }],
            }},
        },
        "responses": {
            "200": {
                "description": "An answer to each call, in their order.",
                "content": {"application/json": {"schema": {"oneOf": [{"type": "array", "items": answer()}, answer()]}}},
            },
            "400": {"description": "It is no JSON array or object."},
            "401": {"description": "The key or the token is missing, not known, expired, or was revoked."},
            "403": {"description": "The key is not one of this tenant."},
            "404": {"description": "There is no such tenant."},
            "405": {"description": "Calls are posted."},
            "413": {"description": "It is longer than 256 KiB."},
            "415": {"description": "It is declared to be something else than JSON."},
            "503": {"description": "It is not known who asks, since the table can't be reached; send it again after the time in Retry-After."},
        },
    }})
}

fn draft() -> Value {
    let statuses: Vec<_> = TransactionStatus::ALL
        .iter()
        .map(|it| it.as_str())
        .collect();
    json!({
        "type": "object",
        "required": ["sep", "kind", "status"],
        "additionalProperties": false,
        "properties": {
            "sep": {"type": "string", "enum": ["6", "24", "31"], "description": "Never changes."},
            "kind": {"type": "string", "minLength": 1, "maxLength": 64, "description": "As the SEP has it, such as `deposit`."},
            "status": {"type": "string", "enum": statuses, "description": "One that the SEP knows."},
            "client": {"type": ["string", "null"], "description": "The wallet client that owns it. Nobody else is told."},
            "customers": {
                "type": ["object", "null"],
                "additionalProperties": false,
                "description": "Where any is named, no other customer can be told of with it.",
                "properties": {"sender": {"type": ["string", "null"]}, "receiver": {"type": ["string", "null"]}},
            },
            "message": {"type": ["string", "null"], "description": "What the user is told."},
            "transfer_received_at": {"type": ["string", "null"], "format": "date-time", "description": "When the user's funds arrived."},
            "amounts_known": {"type": "boolean", "default": false},
            "instructions_known": {"type": "boolean", "default": false},
            "on_change_callback": {
                "type": ["string", "null"],
                "format": "uri",
                "maxLength": 2048,
                "description": "Where the wallet wants to hear of this transaction, before the client's own URL.",
            },
            "details": {"type": "object", "description": "What else the SEP has of a transaction; told as it is."},
        },
    })
}

fn transaction() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let mut schema = draft();
    extend(
        &mut schema,
        "",
        json!({
            "title": "A transaction",
            "required": ["id", "sep", "kind", "status", "started_at", "updated_at"],
            "additionalProperties": true,
        }),
    );
    let ours = json!({
        "id": {"type": "string"},
        "started_at": time,
        "updated_at": time,
        "completed_at": time,
    });
    extend(&mut schema, "/properties", ours);
    schema
}

/// Puts `more` into the object that `pointer` leads to.
fn extend(schema: &mut Value, pointer: &str, more: Value) {
    let object = schema.pointer_mut(pointer).and_then(Value::as_object_mut);
    if let (Some(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn transactions() -> Value {
    let of_path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let shown = |description: &str| {
        json!({
            "description": description,
            "headers": {"ETag": {"description": "The state it is in.", "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": transaction()}},
        })
    };
    json!({
        "get": {
            "operationId": "anchor_transaction",
            "tags": ["anchor"],
            "summary": "An anchor's transaction.",
            "parameters": [of_path("tenant"), of_path("id")],
            "security": [{"key": []}],
            "responses": {
                "200": shown("The transaction."),
                "401": {"description": "The key or the token is missing, not known, or was revoked."},
                "403": {"description": "The key is not one of this tenant."},
                "404": {"description": "There is no such tenant, or no such transaction."},
                "503": {"description": "The table can't be reached; ask again after the time in Retry-After."},
            },
        },
        "put": {
            "operationId": "put_anchor_transaction",
            "tags": ["anchor"],
            "summary": "Makes an anchor's transaction, or says what it is to be, whole.",
            "description": "A status that changes is told to the wallet client that owns the transaction; the first one is not.",
            "security": [{"key": []}],
            "parameters": [
                of_path("tenant"),
                of_path("id"),
                {"name": "If-Match", "in": "header", "required": false, "description": "Only if it is in this state (`ETag`).", "schema": {"type": "string"}},
                {"name": "If-None-Match", "in": "header", "required": false, "description": "`*`: only if it is new.", "schema": {"type": "string"}},
            ],
            "requestBody": {
                "required": true,
                "description": "At most 256 KiB. A field that is not known is refused.",
                "content": {"application/json": {
                    "schema": draft(),
                    "example": {
                        "sep": "6",
                        "kind": "deposit",
                        "status": "incomplete",
                        "client": "lobby",
                        "customers": {"sender": "cus_1"},
                        "amounts_known": true,
                        "instructions_known": true,
                        "details": {"amount_in": "100.00"},
                    },
                }},
            },
            "responses": {
                "200": shown("It was there, and is as asked for now."),
                "201": shown("It is new."),
                "400": {"description": "A field is not right; it is named."},
                "401": {"description": "The key or the token is missing, not known, or was revoked."},
                "403": {"description": "The key is not one of this tenant."},
                "404": {"description": "There is no such tenant."},
                "412": {"description": "It is not in the state that was named; read it again."},
                "413": {"description": "It is longer than 256 KiB."},
                "415": {"description": "It is declared to be something else than JSON."},
                "503": {"description": "The table can't be reached, or others wrote again and again; put it again after the time in Retry-After."},
            },
        },
    })
}

fn callback() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "format": "uri", "maxLength": 2048, "description": "Replaces the one that was put before."},
            "id": {"type": "string", "description": "The customer, where the account has more than one."},
            "account": {"type": "string", "description": "If given, the token's."},
            "memo": {"type": "string", "description": "If given, the token's."},
        },
    });
    json!({"put": {
        "operationId": "put_customer_callback",
        "tags": ["anchor"],
        "summary": "SEP-12 `PUT /customer/callback`: where a wallet wants to hear of a customer, until ACCEPTED or REJECTED.",
        "description": "Takes a SEP-10 token (HS256) as bearer. Its client domain, else its account, says which wallet client it is; the anchor's business server says whose customer it is.",
        "parameters": [{"name": "tenant", "in": "path", "required": true, "schema": {"type": "string"}}],
        "requestBody": {
            "required": true,
            "description": "At most 16 KiB.",
            "content": {
                "application/json": {"schema": schema, "example": {"url": "https://wallet.example/customers"}},
                "application/x-www-form-urlencoded": {"schema": schema},
                "multipart/form-data": {"schema": schema},
            },
        },
        "responses": {
            "200": {"description": "It is told from now on, and told anew."},
            "400": {"description": "A field is not right; it is named."},
            "401": {"description": "The token is missing, expired or not this anchor's, or it has not set up SEP-10."},
            "403": {"description": "The token is of no wallet client of this anchor."},
            "404": {"description": "The account has no such customer."},
            "413": {"description": "It is longer than 16 KiB."},
            "415": {"description": "It is declared to be something else than JSON or a form."},
            "503": {"description": "The business server or the table can't be asked; put it again after the time in Retry-After."},
        },
    }})
}
