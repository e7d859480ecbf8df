# a small shell
{ pkgs ? import <nixpkgs> { } }:
let
  port = 8080;
in
pkgs.mkShell {
  packages = with pkgs; [ curl jq ];
  shellHook = "echo port ${toString port}";
  enable = if port > 1024 then true else false;
}
