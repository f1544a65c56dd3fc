"""Where the Recon-CT of a download lies: registered to the volume that fewview makes of the same X-rays, and kept in a file."""
