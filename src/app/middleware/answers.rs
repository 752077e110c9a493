//! Sends large responses in parts, and limits the responses that a caller has not read yet.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};

use crate::http::response::SharedBody;
use crate::limits::unread_answers::ReservedAnswer;
use crate::operations::reserve_answer::reserve_answer;
use crate::state::State;

/// The largest response that is neither counted nor split, in bytes.
const SMALL: usize = 64 * 1024;
/// The bytes passed to the connection at once. It copies them, and takes more once they are sent.
const PART: usize = 32 * 1024;

/// Middleware: splits a large response, and counts it until the client has read it.
pub(crate) async fn bound(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let (request, response) = next.call(request).await?.into_parts();
    let is_in_memory_once = response.extensions().contains::<SharedBody>();
    let (head, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) if bytes.len() > SMALL => bytes,
        Ok(bytes) => return Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(bytes)))),
        Err(body) => return Ok(ServiceResponse::new(request, head.set_body(body))),
    };
    // The response to a change is not refused, because the change has been made.
    let is_counted = !is_in_memory_once && matches!(*request.method(), Method::GET | Method::HEAD);
    let state = request.app_data::<Data<State>>().filter(|_| is_counted);
    let reserved = state.map(|state| reserve_answer(state, bytes.len())).transpose();
    Ok(match reserved {
        Ok(reserved) => {
            ServiceResponse::new(request, head.set_body(BoxBody::new(ChunkedBody { bytes, reserved })))
        }
        Err(refusal) => ServiceResponse::from_err(refusal, request),
    })
}

/// A body that is sent in parts.
struct ChunkedBody {
    bytes: Bytes,
    reserved: Option<ReservedAnswer>,
}

impl MessageBody for ChunkedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        let part = this.bytes.split_to(PART.min(this.bytes.len()));
        if this.bytes.is_empty() {
            this.reserved = None;
        }
        Poll::Ready((!part.is_empty()).then_some(Ok(part)))
    }
}
