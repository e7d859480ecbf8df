// Counts the busy servers
Function CountBusy(Servers, Val Limit = 90) Export
    Total = 0;
    For Each Server In Servers Do
        If Server.Load > Limit Then
            Total = Total + 1;
        EndIf;
    EndDo;
    Message("Busy: " + Total); Return Total;
EndFunction
