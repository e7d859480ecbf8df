(* addition of server counts *)
Require Import Arith.

Definition default_port : nat := 80.

Theorem add_zero : forall n : nat, n + 0 = n.
Proof.
  induction n as [| n IH]; simpl.
  - reflexivity.
  - rewrite IH. reflexivity. Qed.
