//! Extracts the origin of a request for the audit log, which is its client address and its ID.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use crate::audit::Origin;
use crate::http::routing::RequiresPermission;
use crate::refusal::{Refusal, RequestId};
use crate::state::State;

/// Extracts the origin of a request without its caller.
pub struct RequestOrigin(pub Origin);

impl RequiresPermission for RequestOrigin {}

impl FromRequest for RequestOrigin {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(origin(request))))
    }
}

/// Returns the origin of a request whose caller is not known yet.
pub(super) fn origin(request: &HttpRequest) -> Origin {
    let state = request.app_data::<web::Data<State>>();
    let client = state.and_then(|state| state.web.trusted_proxies.client_address(request));
    let (address, address_doubt) = client.map(|client| (client.address.to_string(), client.doubt)).unzip();
    Origin {
        address,
        address_doubt: address_doubt.flatten(),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0),
        ..Origin::default()
    }
}
