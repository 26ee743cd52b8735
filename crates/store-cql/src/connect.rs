//! A session with the database of one data center.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, MetadataError,
    NewSessionError,
};
use scylla::policies::host_filter::DcHostFilter;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::DefaultRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use crate::{CqlSettings, OpenError};

/// How long the first connection may take, name look-up and metadata included.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// How long a change of the schema may take to reach every node.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(60);

/// How long one change of the schema may take.
const SCHEMA_CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// What the session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Rows: many short calls.
    Rows,
    /// Making tables: few calls, some of which take seconds.
    Schema,
}

/// Connects to the nodes of the data center, and to no other.
pub(crate) async fn connect(settings: &CqlSettings, purpose: Purpose) -> Result<Session, OpenError> {
    settings.check()?;
    let data_center = settings.data_center.clone();
    let policy = DefaultPolicy::builder()
        .prefer_datacenter(data_center.clone())
        .token_aware(true)
        .permit_dc_failover(false)
        .build();
    let call_limit = match purpose {
        Purpose::Rows => settings.call_timeout,
        Purpose::Schema => SCHEMA_CHANGE_LIMIT,
    };
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(call_limit))
        .load_balancing_policy(policy)
        .retry_policy(Arc::new(DefaultRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&settings.contact_points)
        .host_filter(Arc::new(DcHostFilter::new(data_center)))
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(call_limit.min(CONNECT_LIMIT))
        .keyspaces_to_fetch([&settings.keyspace])
        .schema_agreement_timeout(AGREEMENT_LIMIT)
        .refresh_metadata_on_auto_schema_agreement(false)
        .tls_context(settings.tls.clone());
    if let Some(credentials) = &settings.credentials {
        builder = builder.user(&credentials.user, &credentials.password);
    }
    let session = match tokio::time::timeout(CONNECT_LIMIT, builder.build()).await {
        Ok(Err(error)) if is_refused(&error) => return Err(OpenError::Refused { detail: error.to_string() }),
        Ok(built) => built.map_err(|error| OpenError::unreachable(&settings.contact_points, &error))?,
        Err(late) => return Err(OpenError::unreachable(&settings.contact_points, &late)),
    };
    check_data_center(&session, settings)?;
    Ok(session)
}

/// Whether a node answered and will not have us, or we it: a user, a password, a certificate. Waiting helps nothing.
fn is_refused(error: &NewSessionError) -> bool {
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
        last_connection_error: error,
        ..
    })) = error
    else {
        return false;
    };
    match error {
        ConnectionError::IoError(error) => error.kind() == io::ErrorKind::InvalidData,
        ConnectionError::ConnectionSetupRequestError(error) => matches!(
            error.error,
            ConnectionSetupRequestErrorKind::MissingAuthentication
                | ConnectionSetupRequestErrorKind::DbError(
                    DbError::AuthenticationError | DbError::Unauthorized,
                    _
                )
        ),
        _ => false,
    }
}

/// Whether the database is ScyllaDB, whose nodes tell drivers of their shards.
pub(crate) fn is_scylla(session: &Session) -> bool {
    session.get_cluster_state().get_nodes_info().iter().any(|node| node.sharder().is_some())
}

fn check_data_center(session: &Session, settings: &CqlSettings) -> Result<(), OpenError> {
    let state = session.get_cluster_state();
    let mut found: Vec<&str> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    if found.contains(&settings.data_center.as_str()) {
        return Ok(());
    }
    found.sort_unstable();
    found.dedup();
    Err(OpenError::WrongDataCenter { found: found.join(", "), wanted: settings.data_center.clone() })
}
