//! The table as `infra/template.yaml` has it, for where no template makes it: in `local` and in tests.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::{StoreError, unavailable};
use crate::store::item::{
    DUE_INDEX, DUE_PK, DUE_SK, PK, PROJECTED, SK, TIME_INDEX, TIME_PK, TIME_SK, TTL,
};

/// Makes the table if it is not there.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn create_table(client: &Client, name: &str) -> Result<(), StoreError> {
    let time = Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(PROJECTED.map(str::to_owned).to_vec()));
    let due = Projection::builder().projection_type(ProjectionType::KeysOnly);
    let made = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(
            [PK, SK, TIME_PK, TIME_SK, DUE_PK, DUE_SK]
                .map(definition)
                .to_vec(),
        ))
        .set_key_schema(Some(schema(PK, SK)))
        .global_secondary_indexes(index(TIME_INDEX, TIME_PK, TIME_SK, time.build()))
        .global_secondary_indexes(index(DUE_INDEX, DUE_PK, DUE_SK, due.build()))
        .send()
        .await;
    match made {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => return Ok(()),
        Err(error) => return Err(unavailable(error)),
    }
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name(TTL)
        .enabled(true)
        .build()
        .expect("attribute and switch are set");
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(unavailable)?;
    Ok(())
}

fn definition(name: &str) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("name and type are set")
}

fn schema(hash: &str, range: &str) -> Vec<KeySchemaElement> {
    let element = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .expect("name and type are set")
    };
    vec![element(hash, KeyType::Hash), element(range, KeyType::Range)]
}

fn index(name: &str, hash: &str, range: &str, projection: Projection) -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(schema(hash, range)))
        .projection(projection)
        .build()
        .expect("name, keys and projection are set")
}
