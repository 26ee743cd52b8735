use std::future::Future;
use std::time::Duration;

use bulkhead_model::{ErrorKind, Result};
use tonic::{Response, Status};

use crate::error_from_status;

/// Waits for the answer of a call, at most `limit`.
pub(crate) async fn answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(error_from_status(&status)),
        Err(_) => Err(ErrorKind::Timeout.into()),
    }
}

/// The table of a service's unary calls, from which its server and its client come. `answers` lists the calls that
/// answer a message, `done` those that answer nothing; `name = rpc` where the trait and the proto file differ. What a
/// table cannot say stands in `server` and `client`.
macro_rules! unary_calls {
    (
        $api:ident, $grpc:path => $Server:ident, $Client:ident;
        answers { $($method:ident = $rpc:ident ($request:ty) -> $answer:ty;)* }
        done { $($done_method:ident ($done_request:ty) -> $done:ident;)* }
        server { $($server_items:tt)* }
        client { $($client_items:tt)* }
    ) => {
        #[async_trait::async_trait]
        impl $grpc for $Server {
            $(async fn $rpc(
                &self,
                request: tonic::Request<$request>,
            ) -> Result<tonic::Response<$answer>, tonic::Status> {
                let answer = self.api.$method(request.into_inner()).await;
                answer.map(tonic::Response::new).map_err(|error| crate::status_from_error(&error))
            })*

            $(async fn $done_method(
                &self,
                request: tonic::Request<$done_request>,
            ) -> Result<tonic::Response<$done>, tonic::Status> {
                let answer = self.api.$done_method(request.into_inner()).await;
                answer
                    .map(|()| tonic::Response::new($done {}))
                    .map_err(|error| crate::status_from_error(&error))
            })*

            $($server_items)*
        }

        #[async_trait::async_trait]
        impl $api for $Client {
            $(async fn $method(&self, request: $request) -> bulkhead_model::Result<$answer> {
                let mut grpc = self.grpc.clone();
                crate::unary::answer(crate::limits::CALL_LIMIT, grpc.$rpc(request)).await
            })*

            $(async fn $done_method(&self, request: $done_request) -> bulkhead_model::Result<()> {
                let mut grpc = self.grpc.clone();
                crate::unary::answer(crate::limits::CALL_LIMIT, grpc.$done_method(request)).await?;
                Ok(())
            })*

            $($client_items)*
        }
    };
}
pub(crate) use unary_calls;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_answered_in_time_ends_with_timeout() {
        let limit = Duration::from_secs(10);
        let outcome = answer::<()>(limit, std::future::pending()).await;
        assert_eq!(outcome, Err(ErrorKind::Timeout.into()));
        let outcome = answer(limit, async {
            tokio::time::sleep(limit - Duration::from_millis(1)).await;
            Ok(Response::new(7))
        });
        assert_eq!(outcome.await, Ok(7));
    }
}
