"""What keeps vectors: the seam that every engine implements, and the local engine on a folder."""
