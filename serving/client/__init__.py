"""A typed client of served models, TF Serving's or the local server's, over REST or gRPC."""

from serving.client.errors import RequestError
from serving.client.recommender import Answer, Client, RawId, Recommendation

__all__ = ["Answer", "Client", "RawId", "Recommendation", "RequestError"]
