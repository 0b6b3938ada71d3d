"""What ragvec costs and finds, beside its peers: `make bench`, or one file per question."""
