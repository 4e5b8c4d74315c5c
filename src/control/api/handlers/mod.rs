//! What each endpoint does.

mod connections;
mod events;
mod messages;
mod node;
mod rooms;
mod users;

pub(super) use node::written;

use super::Api;
use super::answer::{Answer, Failure};
use super::call::Call;
use super::table::Route;

impl Api {
    pub(super) async fn handle(&self, route: Route, call: &Call) -> Result<Answer, Failure> {
        match route {
            Route::Publish => self.publish(call, call.room()?).await,
            Route::PublishToUser => self.publish_to_user(call).await,
            Route::Batch => self.publish_batch(call).await,
            Route::History => self.history(call).await,
            Route::CreateRoom => self.create_room(call).await,
            Route::RoomInfo => self.room_info(call).await,
            Route::CloseRoom => self.close_room(call).await,
            Route::Members => self.members(call).await,
            Route::Subscribe => self.place(call, true).await,
            Route::Unsubscribe => self.place(call, false).await,
            Route::Presence => self.presence(call).await,
            Route::PresenceOfMany => self.presence_of_many(call).await,
            Route::DisconnectUser => self.disconnect_user(call).await,
            Route::BlockUser => self.block_user(call, true).await,
            Route::UnblockUser => self.block_user(call, false).await,
            Route::RevokeToken => self.revoke_token(call, true).await,
            Route::RestoreToken => self.revoke_token(call, false).await,
            Route::Connections => self.connections(call).await,
            Route::DisconnectConnection => self.disconnect_connection(call).await,
            Route::Event => self.event(call).await,
            Route::DeadLetters => self.dead_letters(call),
            Route::RetryDeadLetter => self.retry_dead_letter(call).await,
            Route::Stats => self.stats(call).await,
            Route::Node => self.node(call).await,
            Route::Cluster => self.cluster(call).await,
            Route::OpenApi => Ok(Answer::new(200, super::openapi::compact().as_bytes().to_vec())),
        }
    }
}
