"""Replies judged by another language model: what it is asked, how it is reached, and what its answers allow to say."""
